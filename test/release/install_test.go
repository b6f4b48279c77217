// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// kubectl returns the command that runs kubectl with the API server of the tests.
func kubectl(t *testing.T) (command, kubeconfig string) {
	t.Helper()
	apiserver.Need(t, server)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.Tool("kubectl") + " --kubeconfig=" + kubeconfig, kubeconfig
}

// documented returns the commands in the sh blocks of a section of docs/releases.md.
func documented(t *testing.T, heading string) []string {
	t.Helper()
	return documentedIn(t, "docs/releases.md", heading)
}

func documentedIn(t *testing.T, path, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", path, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var commands []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?\n)```$").FindAllStringSubmatch(text, -1) {
		commands = append(commands, block[1])
	}
	return commands
}

var documentedVersion = regexp.MustCompile(`(?m)^VERSION=\S+$`)

const operatorImage = "jsonpath={.spec.template.spec.containers[0].image}"

// The commands of the page run with the files of the snapshot and with a registry of this test.
func TestReleasesPage_Installation_Works(t *testing.T) {
	s := built(t)
	kubectl, kubeconfig := kubectl(t)
	var requests bytes.Buffer
	ghcr := httptest.NewServer(registry.New(registry.Logger(log.New(&requests, "", 0))))
	t.Cleanup(ghcr.Close)
	host := strings.TrimPrefix(ghcr.URL, "http://")

	run(t, "make push-chart VERSION="+s.Version+" CHART_REGISTRY=oci://"+host+"/mqttbridge/charts HELM_PUSH=--plain-http")
	digest := run(t, "cat bin/release/chart.digest")
	reference, err := name.NewDigest(host + "/mqttbridge/charts/mqttbridge-operator@" + strings.TrimSpace(digest))
	if err != nil {
		t.Fatalf("the digest %q, which the workflow signs: %v", digest, err)
	}
	if _, err := remote.Get(reference); err != nil {
		t.Fatalf("%v\n%s", err, &requests)
	}

	commands := documented(t, "Installation")
	if len(commands) != 3 {
		t.Fatalf("the page has the commands %q", commands)
	}
	run(t, kubectl+" delete crd --all --wait")
	t.Run("helm", func(t *testing.T) {
		command := documentedVersion.ReplaceAllString(commands[0], "VERSION="+s.Version)
		for _, r := range [][2]string{{"helm ", pinned("helm") + " --kubeconfig=" + kubeconfig + " "}, {"ghcr.io", host}, {" --wait", " --plain-http"}} {
			if !strings.Contains(command, r[0]) {
				t.Fatalf("%q is not in %s", r[0], command)
			}
			command = strings.ReplaceAll(command, r[0], r[1])
		}
		run(t, command)
		const operator = " get deployment mqttbridge-operator --namespace=mqttbridge-system --output="
		if got := run(t, kubectl+operator+"'"+operatorImage+"'"); got != "ghcr.io/mqttbridge/mqttbridge-operator:"+s.Version {
			t.Errorf("the image is %s", got)
		}
		run(t, pinned("helm")+" --kubeconfig="+kubeconfig+" uninstall mqttbridge-operator --namespace=mqttbridge-system")
		run(t, kubectl+" delete crd --all --wait")
	})
	t.Run("kubectl", func(t *testing.T) {
		run(t, "cd "+extraFiles()+" && "+strings.ReplaceAll(commands[1], "kubectl", kubectl))
		args := run(t, kubectl+" get deployment mqttbridge-operator --namespace=mqttbridge-system --output='jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].args[0]}'")
		const image = "ghcr.io/mqttbridge/mqttbridge-operator:"
		if args != image+s.Version+" --runner-image="+image+s.Version {
			t.Errorf("the images of operator and runner are %s", args)
		}
		run(t, kubectl+" wait --for=condition=Established --timeout=60s crd/mqttbridges.mqttbridge.io")
		run(t, kubectl+" diff --server-side -f "+filepath.Join(extraFiles(), "crds.yaml"))
	})
	t.Run("runner", func(t *testing.T) {
		dir := t.TempDir()
		run(t, "cp dist/bridge-runner_*_linux_amd64.tar.gz "+dir)
		out := run(t, "cd "+dir+"\n"+documentedVersion.ReplaceAllString(commands[2], "VERSION="+s.Version))
		if !strings.HasPrefix(out, "bridge-runner v"+s.Version+",") {
			t.Errorf("the runner prints %s", out)
		}
		if out := run(t, dir+"/bridge-runner check -f "+dir+"/bridge.yaml"); !strings.Contains(out, "valid") {
			t.Errorf("the sample of the archive: %s", out)
		}
	})
}

func TestReleasesPage_Checksums_AreVerified(t *testing.T) {
	built(t)
	dir := t.TempDir()
	run(t, "cp dist/checksums.txt dist/*.tar.gz bin/release/files/* "+dir)
	command := documented(t, "Verification")[0]
	if out := run(t, "cd "+dir+" && "+command); !strings.Contains(out, "install.yaml: OK") {
		t.Errorf("the output is %s", out)
	}
}

// Artifact Hub refuses unknown kinds of changes, and shows the version, the images and the CRDs.
func TestSnapshot_Chart_HasTheVersionAndTheAnnotationsOfTheRelease(t *testing.T) {
	s := built(t)
	files := open(t, filepath.Join(extraFiles(), "mqttbridge-operator-"+s.Version+".tgz"))
	var chart struct {
		Version, AppVersion string
		Annotations         map[string]string
	}
	if err := yaml.Unmarshal(files["mqttbridge-operator/Chart.yaml"], &chart); err != nil {
		t.Fatal(err)
	}
	if chart.Version != s.Version || chart.AppVersion != s.Version {
		t.Errorf("the versions are %q and %q; want %q", chart.Version, chart.AppVersion, s.Version)
	}
	get := func(name string, to any) {
		if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/"+name]), to); err != nil {
			t.Errorf("the annotation %s: %v", name, err)
		}
	}
	var changes []struct{ Kind, Description string }
	get("changes", &changes)
	if len(changes) == 0 {
		t.Error("there are no changes")
	}
	for _, c := range changes {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, c.Kind) || c.Description == "" {
			t.Errorf("the change %+v is not valid", c)
		}
	}
	var images []struct{ Name, Image string }
	get("images", &images)
	if len(images) != 1 || images[0].Image != "ghcr.io/mqttbridge/mqttbridge-operator:"+s.Version {
		t.Errorf("the images are %+v", images)
	}
	for _, name := range []string{"category", "license", "links", "crds", "crdsExamples", "operator", "operatorCapabilities"} {
		if chart.Annotations["artifacthub.io/"+name] == "" {
			t.Errorf("the annotation %s is missing", name)
		}
	}
	if chart.Annotations["artifacthub.io/prerelease"] != "true" || chart.Annotations["artifacthub.io/containsSecurityUpdates"] == "" {
		t.Errorf("the annotations are %q", chart.Annotations)
	}
}

// krew downloads the archive that the manifest names, and compares its checksum.
func TestSnapshot_KrewManifest_NamesTheArchives(t *testing.T) {
	s := built(t)
	run(t, "make krew-manifest VERSION="+s.Version)
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), "dist", "mqttbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Spec struct {
			Platforms []struct {
				Selector         struct{ MatchLabels struct{ OS, Arch string } }
				URI, SHA256, Bin string
			}
		}
	}
	if err := yaml.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	if got, want := len(manifest.Spec.Platforms), len(programs()["kubectl-mqttbridge"]); got != want {
		t.Errorf("%d platforms; want %d", got, want)
	}
	for _, p := range manifest.Spec.Platforms {
		file := filepath.Join(apiserver.Root(), "dist", filepath.Base(p.URI))
		if sum(t, file) != p.SHA256 || open(t, file)[p.Bin] == nil {
			t.Errorf("%s has another checksum than the manifest, or no %s", file, p.Bin)
		}
	}
}
