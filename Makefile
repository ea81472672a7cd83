# Two commands on a fresh Debian 12, as root, with git, make and python3: `make lab` and `make test`.
# Either installs what it needs first: Debian packages that are missing, and pinned Python packages in .venv.
# A controller needs the latter only, and no root: `make install`.

PYTHON  := $(shell command -v python3)
BIN     := .venv/bin
# make lab BACKEND=nftables (or ipvs): another backend than the inventory's.
BACKEND ?=
SITE    := $(if $(BACKEND),-e sluice_backend=$(BACKEND))
# Load balancers of the lab are namespaces, or virtual machines where a backend asks for a kernel that few hosts have.
MACHINES := $(filter ipvs,$(BACKEND))
LAB      := -i inventory/lab/hosts.yml $(if $(MACHINES),-i inventory/lab-machines/hosts.yml)

PACKAGES     := python3-venv iproute2 iptables ipset nftables conntrack procps kmod
DEV_PACKAGES := $(PACKAGES) podman runc mmdebstrap shellcheck chromium chromium-driver
VM_PACKAGES  := qemu-system-x86 mmdebstrap busybox-static cpio openssh-client e2fsprogs

# A stamp is named after the contents it was made from, so neither a checkout nor a touched file reinstalls.
digest  = $(shell cat $(1) | sha256sum | cut -c1-12)
RUNTIME := .venv/.runtime-$(call digest,requirements.txt constraints.txt pyproject.toml)
DEV     := .venv/.dev-$(call digest,requirements.txt requirements-dev.txt constraints.txt)

PIP  := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check install --constraint constraints.txt
STEP := tools/step

# Ansible insists on UTF-8; tools find each other (molecule, ansible-lint) by PATH.
export LC_ALL := C.UTF-8
export PATH   := $(CURDIR)/$(BIN):$(PATH)
MAKEFLAGS     += --no-print-directory
.NOTPARALLEL:
.SILENT:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## say what there is to make
	sed -n 's/^\([a-z -]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 24

##### The lab

.PHONY: lab lab-down site
# A virtual machine whose processor is emulated takes fewer connections a second.
lab: packages $(if $(MACHINES),vm-packages) $(RUNTIME) ## bring up the embedded lab, run site.yml, send traffic and say where it went
	$(STEP) lab/up ansible-playbook $(LAB) playbooks/lab.yml
	ansible-playbook $(LAB) $(SITE) site.yml
	$(BIN)/python lab/traffic.py $(if $(BACKEND),--backend $(BACKEND))
	$(BIN)/python lab/failover.py $(if $(MACHINES),--rate 20 --requests 60)

site: $(RUNTIME) ## run site.yml against the lab again
	ansible-playbook $(LAB) $(SITE) site.yml

lab-down: $(RUNTIME) ## remove the lab
	$(STEP) lab/down ansible-playbook $(LAB) playbooks/lab_down.yml

##### Checks

KERNEL := $(addprefix kernel-,apply packets health observe)

.PHONY: test unit page golden property kernel $(KERNEL) pytest compat molecule bench
# Side by side, as a virtual machine uses one of two processors.
test: $(DEV) ## all checks; ends with the time of each, what was skipped and why, and which failed
	$(BIN)/python tools/run_steps.py \
		"$(LINTERS) sanity docs compat unit page golden property molecule-default molecule-nftables" \
		molecule-ipvs --then "$(KERNEL)"

LINTERS := ruff format mypy yamllint shellcheck ansible-lint antsibull-docs fragments
ruff           = ruff check .
format         = ruff format --check .
mypy           = mypy
yamllint       = yamllint --strict .
shellcheck     = tools/shellcheck
# It has Ansible check the syntax of playbooks, of which each wants an inventory.
ansible-lint   = env ANSIBLE_INVENTORY=inventory/lab/hosts.yml ansible-lint -q --nocolor
antsibull-docs = antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self $(TREE)
fragments      = antsibull-changelog lint

.PHONY: lint $(LINTERS) sanity
lint: $(LINTERS) ## ruff (rules and format), mypy, yamllint, shellcheck, ansible-lint, antsibull; each is a target too
antsibull-docs: tree
$(LINTERS): $(DEV)
	$(STEP) lint/$@ $($@)

sanity: $(DEV) ## ansible-test's sanity tests, on the tree that is released
	$(STEP) sanity $(BIN)/python tools/sanity.py

unit page golden property kernel: $(DEV) ## one part of the tests
	pytest tests/$@

$(KERNEL): kernel-%: $(DEV)
	pytest tests/kernel/$*

pytest: $(DEV) ## unit, page, golden, property and kernel tests in one run
	pytest tests/unit tests/page tests/golden tests/property tests/kernel

compat: $(DEV) ## controllers as users install them, and the collection on a namespace, with each ansible-core it is for
	$(STEP) compat pytest tests/compat

# Molecule's own folder would be another checkout's too, if that is a folder of the same name.
MOLECULE = $(STEP) molecule-$(1) env MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/molecule/$(1) \
	molecule -c .config/molecule/config.yml test -s $(1)

.PHONY: molecule-default molecule-nftables molecule-ipvs
molecule-default: $(DEV) ## the scenario default, iptables in containers
	$(call MOLECULE,default)

molecule-nftables: $(DEV) ## the scenario nftables, in a container
	$(call MOLECULE,nftables)

molecule-ipvs: $(DEV) | vm-packages ## the scenario ipvs, on a virtual machine
	$(call MOLECULE,ipvs)

molecule: $(DEV) ## all Molecule scenarios; the virtual machine beside the containers
	$(BIN)/python tools/run_steps.py "molecule-default molecule-nftables" molecule-ipvs

# make bench QUICK=1: to 5,000 Services, and the page stays as it is.
bench: $(DEV) ## benchmarks; writes docs/benchmarks.md and its plots
	$(BIN)/python bench/bench.py $(if $(QUICK),--quick,--write)

##### Installation

.PHONY: install install-dev packages dev-packages vm-packages
install: $(RUNTIME) ## make this checkout a controller: .venv with Ansible and the sluice command; needs no root
	echo 'Next: . .venv/bin/activate'
	echo '      cp -r inventory/sample inventory/mine     # and put your hosts and Services in'
	echo '      ansible-playbook -i inventory/mine/hosts.yml site.yml --check --diff'

install-dev: $(DEV) ## only install what `make test` needs

packages:
	tools/apt-need $(PACKAGES)

dev-packages:
	tools/apt-need $(DEV_PACKAGES)

vm-packages:
	tools/apt-need $(VM_PACKAGES)

$(BIN)/pip:
	tools/make-venv $(PYTHON)

$(RUNTIME): $(BIN)/pip
	mkdir -p .cache
	$(STEP) install/runtime $(PIP) -r requirements.txt -e .
	rm -f .venv/.runtime-* && touch $@

# In two rules, as make asks for the prerequisites of the one with the commands first: packages, if any are missing,
# come before a minute of pip.
$(DEV): | dev-packages
	$(STEP) install/dev $(PIP) -r requirements-dev.txt
	rm -f .venv/.dev-* && touch $@
$(DEV): $(RUNTIME)

.PHONY: pins
pins: ## write constraints.txt anew, from a fresh venv and requirements-dev.txt
	rm -rf .cache/pins
	$(PYTHON) -m venv .cache/pins
	$(STEP) pins .cache/pins/bin/python -m pip --quiet --no-input --disable-pip-version-check install -r requirements-dev.txt
	{ sed -n '/^#/p' constraints.txt; .cache/pins/bin/python -m pip freeze --quiet; } >.cache/constraints.txt
	mv .cache/constraints.txt constraints.txt
	rm -rf .cache/pins

##### Release

TREE := .cache/collection/ansible_collections/sluice/lb

.PHONY: tree docs collection changelog clean
tree: $(RUNTIME)
	$(BIN)/python tools/release_tree.py .cache/collection

collection: tree ## build the collection sluice.lb
	$(STEP) collection ansible-galaxy collection build --force --output-path .cache $(TREE)
	echo .cache/sluice-lb-*.tar.gz

docs: $(DEV) tree ## HTML pages of roles, modules and filters: .cache/docs/html
	$(STEP) docs tools/pages

changelog: $(DEV) ## move the fragments of changelogs/ to the version that galaxy.yml says, and write CHANGELOG.md
	antsibull-changelog release --update-existing --reload-plugins --refresh-plugins

clean: ## remove caches (not the lab, not .venv)
	rm -rf .cache .ansible
