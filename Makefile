# The image of the operator and the runner.
DEFAULT_IMG = ghcr.io/mqttbridge/mqttbridge-operator:latest
IMG ?= $(DEFAULT_IMG)

# Each tool is pinned by its own Go module under hack/tools, so that only Go has to be
# installed.
tool = go tool -modfile="$(CURDIR)/hack/tools/$(1)/go.mod" $(2)
CONTROLLER_GEN = $(call tool,controller-gen,controller-gen)
KUSTOMIZE      = $(call tool,kustomize,kustomize)
HELM           = $(call tool,helm,helm)
HELM_DOCS      = $(call tool,helm,helm-docs)
CRD_REF_DOCS   = $(call tool,crd-ref-docs,crd-ref-docs)
GORELEASER     = $(call tool,goreleaser,goreleaser)
GOLANGCI_LINT  = bin/golangci-lint
KUBECTL       ?= kubectl
CONTAINER_TOOL ?= docker

CHART = charts/mqttbridge-operator

# The other modules with Go code of this project.
MODULES = kubectl-mqttbridge hack/cluster hack/try/broker test/interop/mochi test/monitoring test/page test/release test/verdicts

# Not empty if this machine can run the local cluster: root on Linux.
LOCAL_CLUSTER = $(filter Linux-0,$(shell uname -s)-$(shell id -u))

# Runs a command that uses the processor only while nothing else does.
IDLE = $(shell command -v chrt >/dev/null && echo chrt --idle 0 || echo nice -n 19)

# Runs a command that gets the processor after the others, and enough for its timeouts.
NICE = nice -n 10

SHELL = /usr/bin/env bash -o pipefail
.SHELLFLAGS = -ec

# git refuses to read a checkout that belongs to another user, such as a volume of a container, and go then refuses to
# build. The programs are built without the commit instead.
ifneq ($(shell test ! -e .git || git rev-parse HEAD >/dev/null 2>&1 || echo refused),)
export GOFLAGS := $(shell go env GOFLAGS) -buildvcs=false
endif

.PHONY: all
all: build

# Go before 1.21 does not report that it is too old, but an error in go.mod. The first commands of a newcomer depend on
# this target.
.PHONY: need-go
need-go:
	@command -v go >/dev/null || \
	  { echo "go is missing: install Go 1.26 or later from https://go.dev/dl, and add its directory bin to the PATH."; exit 1; }
	@[[ "$$(go version)" =~ go1\.([0-9]+) ]] && (( BASH_REMATCH[1] >= 26 )) || \
	  { echo "$$(go version) is too old: install Go 1.26 or later from https://go.dev/dl, and put its directory bin first in the PATH."; exit 1; }

try demo build runner plugin vet: need-go

##@ General

# The help fits into 80 columns, and has no control characters, so that it can also be read in a file.
.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "; print "Usage:\n  make TARGET"} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_0-9-]+:.*## / { \
	    line = sprintf("  %-16s", $$1); words = split($$2, word, " "); \
	    for (i = 1; i <= words; i++) { \
	      if (length(line) + 1 + length(word[i]) > 80) {print line; line = sprintf("  %-16s", "")} \
	      line = line " " word[i] \
	    } \
	    print line \
	  }' $(MAKEFILE_LIST)

##@ Development

.PHONY: manifests
manifests: ## Generate the CRD and the operator's role, and copy them into the chart.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	go run ./hack/fold config/crd/bases/*.yaml
	go run ./hack/bounds config/crd/bases/*.yaml
	$(CONTROLLER_GEN) rbac:roleName=mqttbridge-operator-manager paths=./controllers/... output:rbac:dir=config/rbac
	mkdir -p $(CHART)/files
	cp config/crd/bases/mqttbridge.io_mqttbridges.yaml $(CHART)/files/crd.yaml
	cp config/rbac/role.yaml config/rbac/*_role.yaml $(CHART)/files/

.PHONY: chart
chart: ## Generate the chart's README and the descriptions in its schema from values.yaml.
	go run ./hack/values $(CHART)
	$(HELM_DOCS) --chart-search-root=$(CHART) --sort-values-order=file --skip-version-footer --log-level=warning

.PHONY: generate
generate: ## Generate the DeepCopy functions.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: api-docs
api-docs: ## Generate docs/api.md from the API types.
	mkdir -p docs
	$(CRD_REF_DOCS) --source-path=api/v1alpha1 --config=hack/crd-ref-docs.yaml --renderer=markdown --max-depth=12 --output-path=docs/api.md

.PHONY: monitoring
monitoring: ## Generate the alerts, the dashboards, and the tables of docs/monitoring.md.
	go run ./hack/monitoring

.PHONY: fmt
fmt: ## Format the code.
	go fmt ./...

.PHONY: vet
vet: ## Run go vet.
	go vet ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run golangci-lint with the Kubernetes API linter, and the check of the language.
	$(GOLANGCI_LINT) run ./...
	@for module in $(MODULES); do echo "golangci-lint in $$module"; \
	  (cd $$module && "$(CURDIR)/$(GOLANGCI_LINT)" run --config="$(CURDIR)/.golangci.yml" ./...); done
	go run ./hack/language

$(GOLANGCI_LINT): hack/tools/golangci-lint/go.mod hack/tools/golangci-lint/main.go | need-go
	go -C hack/tools/golangci-lint build -o "$(CURDIR)/$@" .

.PHONY: verify
verify: manifests generate api-docs monitoring chart ## Fail if a generated file is out of date.
	@git diff --exit-code -- api config $(CHART) docs/api.md docs/monitoring.md || \
	  { echo "Generated files are out of date: run 'make manifests generate api-docs monitoring chart' and commit."; exit 1; }
	@test -z "$$(git status --porcelain --untracked-files=all -- api config $(CHART) docs/api.md docs/monitoring.md)" || \
	  { git status --short --untracked-files=all -- api config $(CHART) docs/api.md docs/monitoring.md; echo "Generated files are not committed."; exit 1; }

##@ Test

.PHONY: test
test: vet ## Run all tests: unit, integration with a real API server, and, as root on Linux, end to end.
	go -C hack/cluster run . packages
	$(MAKE) -j2 test-32bit compile-envtest
	$(MAKE) -j3 test-bridges test-operator compile-ahead
	$(if $(LOCAL_CLUSTER),$(MAKE) test-e2e,@echo "Skipped: the end-to-end tests, which require root on Linux to run a cluster (make test-e2e).")

# The tests of bridges limit the duration of a failover. They run one package at a time (-p 1), and the tests of the
# operator and its tools run beside them with the processor time that they leave.
OPERATOR_TESTS = . ./controllers ./hack/scale ./test/crd ./test/guides ./test/install ./test/rollout
assets = KUBEBUILDER_ASSETS="$$(go -C hack/cluster run . assets)"

.PHONY: test-bridges
test-bridges:
	$(assets) go test -p 1 -timeout=30m $$(go list ./... | grep -vxF "$$(go list $(OPERATOR_TESTS))")

.PHONY: test-operator
test-operator:
	$(assets) $(NICE) go test -p 1 -timeout=30m $(OPERATOR_TESTS)
	$(NICE) go -C hack/cluster test ./...
	$(NICE) go -C test/verdicts test ./...
	$(NICE) go -C test/monitoring test ./...
	$(assets) $(NICE) go -C test/release test -timeout=30m ./...
	$(NICE) go -C test/page test ./...
	$(assets) $(NICE) go -C kubectl-mqttbridge test -p 1 -timeout=20m ./...

# Most tests wait most of their time. Meanwhile, these compile with the processor time that they leave.
.PHONY: compile-envtest
compile-envtest:
	$(IDLE) go -C hack/cluster run . build envtest

.PHONY: compile-ahead
compile-ahead:
	$(IDLE) $(MAKE) cross
	$(if $(LOCAL_CLUSTER),$(IDLE) go -C hack/cluster run . build)

# Linux on amd64 is checked by vet, and test/release builds for linux/arm/v7 and windows/amd64. The tests run on Linux
# only, so that other systems compile the programs alone.
for-each = @for platform in $(1); do echo "go $(2) for $$platform"; \
	  CGO_ENABLED=0 GOARM=7 GOOS=$${platform%/*} GOARCH=$${platform\#*/} go $(2) -trimpath $(3); done

.PHONY: cross
cross: ## Compile the programs for macOS, and vet them and their unit tests as 32-bit programs; ALL=1 takes every system and processor of a release.
	$(call for-each,linux/arm $(if $(ALL),linux/arm64),vet,. ./api/... ./controllers/... ./bridge-runner/... ./internal/...)
	$(call for-each,darwin/arm64 $(if $(ALL),darwin/amd64 linux/arm64 windows/amd64),build -o /dev/null,./bridge-runner)
	$(call for-each,darwin/arm64 $(if $(ALL),darwin/amd64),build -o /dev/null,./hack/try)
	$(if $(ALL),$(call for-each,linux/arm64,build -o /dev/null,.))
	$(if $(ALL),$(call for-each,linux/arm linux/arm64 darwin/amd64 darwin/arm64 windows/amd64,-C kubectl-mqttbridge build -o /dev/null,.))

# An amd64 machine also runs programs for 386, which has the word size and the alignment of arm/v7.
.PHONY: test-32bit
test-32bit: ## Run the tests of the runner's packages as 32-bit programs (amd64).
	CGO_ENABLED=0 GOARCH=386 go test ./bridge-runner/packet ./bridge-runner/session ./bridge-runner/delivery ./bridge-runner/buffer ./bridge-runner/peer ./bridge-runner/role ./bridge-runner/config

# go test runs in the package's directory, because it then prints the output of tests that pass, too.
.PHONY: outages
outages: ## Lose servers in every way and print one table of the results, about 15 minutes (root, Linux); QUICK=1 takes 2 minutes.
	go -C test/outages test -count=1 -timeout=60m $(if $(QUICK),,-full) $(OUTAGES_FLAGS)

.PHONY: takeovers
takeovers: ## Change a running bridge, and end, freeze and cut off one of two runners, as processes and (root, Linux) as pods, and print one table of the gaps, about 50 minutes; QUICK=1 takes 6 minutes (TAKEOVERS_FLAGS="-repetitions=5 -bridges=100 -run=WithPods").
	go -C test/takeovers test $(if $(LOCAL_CLUSTER),-tags e2e) -count=1 -timeout=120m $(if $(QUICK),,-full) $(TAKEOVERS_FLAGS)

.PHONY: slow-links
slow-links: ## Send messages of up to 30 MB over links from 20 kB/s, about 26 minutes; QUICK=1 takes 2 minutes.
	go test -count=1 -timeout=60m ./test/slowlinks $(if $(QUICK),,-full)

.PHONY: test-e2e
test-e2e: ## Run the end-to-end tests on the local cluster (root, Linux), or on CONTEXT=name of your kubeconfig with E2E_FLAGS="-operator-image=...".
	go test -tags e2e -count=1 -timeout=60m ./test/e2e $(if $(CONTEXT),-context=$(CONTEXT)) $(E2E_FLAGS)
	$(if $(CONTEXT),,go test -tags e2e -count=1 -timeout=20m ./test/edge)
	$(if $(CONTEXT),,go test -tags e2e -count=1 -timeout=20m ./hack/demo)
	$(if $(CONTEXT),,go -C test/takeovers test -tags e2e -count=1 -timeout=30m -run=WithPods)

.PHONY: try
try: ## Show a failover on this machine with Go alone, about 40 s (TRY_FLAGS=-h lists the flags).
	@echo "Building the runner and a broker. The first time takes one to two minutes on two cores."
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./bridge-runner ./hack/try
	@CGO_ENABLED=0 go -C hack/try/broker build -trimpath -o "$(CURDIR)/bin/try-broker" .
	@bin/try $(TRY_FLAGS)

.PHONY: demo
demo: ## Show a failover on the local cluster, or on the cluster of CONTEXT=name of your kubeconfig (DEMO_FLAGS=-h lists the flags).
	$(if $(CONTEXT)$(LOCAL_CLUSTER),,@echo "The local cluster needs root on Linux: run make demo as root there; or use your own cluster, with make demo CONTEXT=name DEMO_FLAGS=--operator-image=IMAGE; or run make try, which needs no cluster."; exit 1)
	@echo "Building the demo. The first time takes one to two minutes on two cores."
	go run ./hack/demo $(if $(CONTEXT),--context=$(CONTEXT)) $(DEMO_FLAGS)

.PHONY: bench
bench: build ## Compare the runner with Mosquitto's own bridge, about 30 minutes; QUICK=1 takes 2 minutes and writes no file (BENCH_FLAGS=-h lists the flags).
	go run ./hack/bench $(if $(QUICK),-quick -length=1s,-out=docs/performance.json -render=docs/performance.md) $(BENCH_FLAGS)

.PHONY: scale
scale: ## Measure the operator with N bridges on a real API server (Linux): requests, processor time and memory (SCALE_FLAGS=-h lists the flags).
	$(assets) go run ./hack/scale -n $(or $(N),1000) $(SCALE_FLAGS)

##@ Build

.PHONY: build
build: runner ## Build bin/manager and bin/bridge-runner.
	CGO_ENABLED=0 go build -trimpath -o bin/manager .

.PHONY: runner
runner: ## Build bin/bridge-runner alone.
	CGO_ENABLED=0 go build -trimpath -o bin/bridge-runner ./bridge-runner

.PHONY: plugin
plugin: ## Build bin/kubectl-mqttbridge, the plugin of kubectl.
	CGO_ENABLED=0 go -C kubectl-mqttbridge build -trimpath -o "$(CURDIR)/bin/kubectl-mqttbridge" .

.PHONY: docker-build
docker-build: ## Build the image IMG with both programs.
	$(CONTAINER_TOOL) build -t $(IMG) \
	  --build-arg VERSION="$$(git describe --tags --always --dirty)" --build-arg REVISION="$$(git rev-parse HEAD)" .

# The installation, with the image IMG instead of the image in config/manager.
kustomize-build = $(KUSTOMIZE) build config/default | sed 's|$(DEFAULT_IMG)|$(IMG)|'

.PHONY: build-installer
build-installer: manifests ## Write dist/install.yaml: everything for `kubectl apply`, with the image IMG.
	mkdir -p dist
	$(kustomize-build) > dist/install.yaml

.PHONY: site
site: ## Write the documentation as a site to bin/site. A link to a missing page is an error.
	@command -v mkdocs >/dev/null || \
	  { echo "mkdocs is missing: run 'go -C hack/cluster run . packages' on Debian, or 'pip install -r hack/site/requirements.txt'."; exit 1; }
	PYTHONDONTWRITEBYTECODE=1 mkdocs build --strict

##@ Release

# The version of a release, such as 1.2.3, without v.
VERSION ?=
need-version = $(if $(VERSION),,$(error VERSION is not set; set it to the version of the release without v, as in `make $@ VERSION=1.2.3`))

.PHONY: release-check
release-check: ## Fail if the changelog, the chart and the docs name different versions, or are not ready for VERSION if it is set.
	go run ./hack/release check $(VERSION)

.PHONY: release-files
release-files: ## Write the notes of VERSION to bin/release, and its chart, install.yaml and crds.yaml to bin/release/files.
	$(need-version)
	rm -rf bin/release
	mkdir -p bin/release/files
	go run ./hack/release notes $(VERSION) > bin/release/notes.md
	go run ./hack/release chart $(VERSION) bin/release/chart
	$(HELM) package bin/release/chart/$(notdir $(CHART)) --destination=bin/release/files
	$(KUSTOMIZE) build config/default | sed 's|$(DEFAULT_IMG)|$(DEFAULT_IMG:latest=$(VERSION))|' > bin/release/files/install.yaml
	$(KUSTOMIZE) build config/crd > bin/release/files/crds.yaml

# goreleaser finds the program that writes the SBOMs in PATH.
.PHONY: bin/cyclonedx-gomod
bin/cyclonedx-gomod:
	go -C hack/tools/cyclonedx-gomod build -o "$(CURDIR)/$@" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# goreleaser reads the commit only in a repository that has a remote.
remote = $(if $(shell git remote),,GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.origin.url GIT_CONFIG_VALUE_0=https://github.com/mqttbridge/mqttbridge-operator)

.PHONY: snapshot
snapshot: bin/cyclonedx-gomod ## Build the files of a release into dist/, and its images, without publishing (SKIP=sign,docker: without Docker).
	$(remote) PATH="$(CURDIR)/bin:$$PATH" $(GORELEASER) release --snapshot --clean $(if $(CONFIG),--config=$(CONFIG)) --skip=$(or $(SKIP),sign)

.PHONY: release-test
release-test: ## Test the files of a release for all platforms, about 20 minutes without a cache. `make test` builds some of the platforms.
	$(MAKE) cross ALL=1
	$(assets) go -C test/release test -count=1 -timeout=60m . -all

.PHONY: release
release: release-check bin/cyclonedx-gomod ## Build, sign and publish the files and the image of VERSION, the version of the tag. The workflow release runs it.
	$(need-version)
	PATH="$(CURDIR)/bin:$$PATH" $(GORELEASER) release --clean --release-notes=bin/release/notes.md

CHART_REGISTRY ?= oci://ghcr.io/mqttbridge/charts

.PHONY: push-chart
push-chart: ## Push the chart of VERSION to CHART_REGISTRY, and write its digest to bin/release/chart.digest. HELM_PUSH are further flags.
	$(need-version)
	$(HELM) push bin/release/files/$(notdir $(CHART))-$(VERSION).tgz $(CHART_REGISTRY) $(HELM_PUSH) 2>&1 | tee bin/release/push.log
	sed -n 's/^Digest: //p' bin/release/push.log > bin/release/chart.digest
	test -s bin/release/chart.digest

.PHONY: krew-manifest
krew-manifest: ## Write the manifest of the plugin of kubectl for krew to dist/mqttbridge.yaml, after a release or a snapshot with VERSION.
	$(need-version)
	go run ./hack/release krew $(VERSION) dist/checksums.txt > dist/mqttbridge.yaml

##@ Deployment

# The objects of installations by kustomize from before they had the names of the Helm chart.
earlier-names = deployment/mqttbridge-controller-manager service/mqttbridge-controller-manager-metrics-service \
  poddisruptionbudget/mqttbridge-controller-manager serviceaccount/mqttbridge-controller-manager \
  role/mqttbridge-leader-election-role rolebinding/mqttbridge-leader-election-rolebinding \
  clusterrole/mqttbridge-manager-role clusterrolebinding/mqttbridge-manager-rolebinding \
  clusterrole/mqttbridge-metrics-auth-role clusterrolebinding/mqttbridge-metrics-auth-rolebinding \
  clusterrole/mqttbridge-metrics-reader clusterrole/mqttbridge-mqttbridge-admin-role \
  clusterrole/mqttbridge-mqttbridge-editor-role clusterrole/mqttbridge-mqttbridge-viewer-role

.PHONY: install
install: manifests ## Install the CRD into the current cluster.
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply --server-side --force-conflicts -f -

.PHONY: uninstall
uninstall: ## Remove the CRD. FORCE_CRD=1 also deletes all bridges, with their pods, and the volumes of bridges with retainPolicy Delete; otherwise it is refused while bridges exist.
	@crd="$$($(KUBECTL) get crd mqttbridges.mqttbridge.io --ignore-not-found --output=name)"; \
	if [ -n "$$crd" ] && [ "$(FORCE_CRD)" != 1 ]; then \
	  bridges="$$($(KUBECTL) get mqttbridges --all-namespaces --no-headers)"; \
	  if [ -n "$$bridges" ]; then \
	    echo "$$bridges"; \
	    echo "Refused: the CRD would be removed with these bridges and their pods, and the volumes of bridges with retainPolicy Delete would be deleted with their backlogs. Delete the bridges first, or set FORCE_CRD=1."; \
	    exit 1; \
	  fi; \
	fi
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: manifests ## Install the operator with the image IMG into the current cluster.
	$(kustomize-build) | $(KUBECTL) apply --server-side --force-conflicts -f -
	$(MAKE) remove-earlier

.PHONY: remove-earlier
remove-earlier: ## Remove the objects of an earlier version that `make deploy` installed with other names. The CRD and all bridges stay.
	$(KUBECTL) delete --ignore-not-found --namespace=mqttbridge-system $(earlier-names)

.PHONY: undeploy
undeploy: ## Remove the operator. The CRD and all bridges stay, and their runners continue to forward.
	@crd="$$($(KUBECTL) get crd mqttbridges.mqttbridge.io --ignore-not-found --output=name)"; \
	if [ -n "$$crd" ]; then \
	  bridges="$$($(KUBECTL) get mqttbridges --namespace=mqttbridge-system --no-headers)"; \
	  if [ -n "$$bridges" ]; then \
	    echo "$$bridges"; \
	    echo "Refused: these bridges would be removed with the operator's namespace mqttbridge-system. Move them to another namespace first."; \
	    exit 1; \
	  fi; \
	fi
	$(KUSTOMIZE) build config/operator | $(KUBECTL) delete --ignore-not-found -f -

##@ Local cluster

.PHONY: cluster-up
cluster-up: ## Start a local cluster (root, Linux).
	go -C hack/cluster run . up

.PHONY: cluster-down
cluster-down: ## Stop the local cluster.
	go -C hack/cluster run . down
