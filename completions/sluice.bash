# shellcheck shell=bash
# Completion of sluice for bash. Written by Sluice from the options of the command.
_sluice() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="" words="" kind="" each
    # bash takes --option=value for three words.
    if [[ $word == "=" ]]; then
        word=""
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $each == -* ]] || { command=$each; break; }
    done
    case "$command $before" in
        "render --settings") kind=-f ;;
        "render --allocations") kind=-f ;;
        "render --backend") words='iptables ipvs nftables' ;;
        "render --out") kind=-d ;;
        "validate -i" | "validate --inventory") kind=-f ;;
        "validate --settings") kind=-f ;;
        "validate --allocations") kind=-f ;;
        "allocate --settings") kind=-f ;;
        "allocate --allocations") kind=-f ;;
        "get -n" | "get --namespace") : ;;
        "get -l" | "get --selector") : ;;
        "get -o" | "get --output") words='wide yaml json name' ;;
        "get -i" | "get --inventory") kind=-f ;;
        "get --settings") kind=-f ;;
        "get --allocations") kind=-f ;;
        "get --dir") kind=-d ;;
        "apply --backend") words='iptables ipvs nftables' ;;
        "apply --confirm") : ;;
        "apply --dir") kind=-d ;;
        "remove --dir") kind=-d ;;
        "status --dir") kind=-d ;;
        "status --out") kind=-f ;;
        "top --interval") : ;;
        "top --dir") kind=-d ;;
        "rollback --to") : ;;
        "rollback --dir") kind=-d ;;
        "trace --to") : ;;
        "trace --from") : ;;
        "trace --dump") kind=-f ;;
        "trace --dir") kind=-d ;;
        "trace --node-address") : ;;
        "explain --dump") kind=-f ;;
        "explain --dir") kind=-d ;;
        "explain --node-address") : ;;
        "import --dump") kind=-f ;;
        "import --out") kind=-d ;;
        "import --node-name") : ;;
        "diff --dir") kind=-d ;;
        *) case $command in
            "") words='render validate allocate get apply remove confirm drain undrain status top health history rollback trace explain import diff --version --help' ;;
            render)
                if [[ $word == -* ]]; then words='--settings --allocations --backend --out --help'
                else kind=-f; fi ;;
            validate)
                if [[ $word == -* ]]; then words='--strict -i --inventory --settings --allocations --help'
                else kind=-f; fi ;;
            allocate)
                if [[ $word == -* ]]; then words='--settings --allocations --check --help'
                else kind=-f; fi ;;
            get)
                if [[ $word == -* ]]; then words='-n --namespace -A --all-namespaces -l --selector -o --output --no-headers -i --inventory --settings --allocations --dir --help'
                elif [[ $before == get ]]; then words='services endpoints nodes'
                else kind=-f; fi ;;
            apply) words='--check --diff --exit-code --json --backend --confirm --boot --repair --dir --force --help' ;;
            remove) words='--check --dir --help' ;;
            confirm) words='--help' ;;
            drain)
                if [[ $word == -* ]]; then words='--node --check --help'
                else :; fi ;;
            undrain)
                if [[ $word == -* ]]; then words='--node --check --help'
                else :; fi ;;
            status) words='--dir --json --metrics --out --help' ;;
            top) words='--once --json --interval --dir --help' ;;
            health) words='--json --metrics --supervise --check --help' ;;
            history) words='--json --help' ;;
            rollback) words='--to --unconfirmed --check --dir --help' ;;
            trace) words='--to --from --dump --dir --live --node-address --ask --json --mermaid --svg --help' ;;
            explain) words='--dump --dir --live --node-address --json --help' ;;
            import) words='--dump --out --node-name --help' ;;
            diff) words='--dir --force --help' ;;
        esac ;;
    esac
    COMPREPLY=()
    [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [[ -n $kind && ${#COMPREPLY[@]} == 0 ]]; then
        compopt -o filenames 2>/dev/null || true  # where nobody completes, it is an error
        mapfile -t COMPREPLY < <(compgen "$kind" -- "$word")
    fi
}
complete -F _sluice sluice
