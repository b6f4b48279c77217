// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"sigs.k8s.io/yaml"
)

// krew's validation of manifests has the same rules.
func TestKrewManifest_FilledIn_FollowsTheRulesOfKrew(t *testing.T) {
	tmpl, err := template.New("krew.yaml.tmpl").Option("missingkey=error").ParseFiles(filepath.Join("..", "..", "hack", "release", "krew.yaml.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	type archive struct{ OS, Arch, Name, SHA256 string }
	var archives []archive
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64"} {
		system, arch, _ := strings.Cut(platform, "_")
		extension := map[bool]string{true: "zip", false: "tar.gz"}[system == "windows"]
		archives = append(archives, archive{system, arch, fmt.Sprintf("kubectl-mqttbridge_1.2.3_%s.%s", platform, extension), strings.Repeat("0f", 32)})
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, map[string]any{"Version": "1.2.3", "Archives": archives}); err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description, Caveats string
			Platforms                                                 []struct {
				Selector         struct{ MatchLabels map[string]string }
				URI, SHA256, Bin string
			}
		}
	}
	if err := yaml.UnmarshalStrict(out.Bytes(), &manifest); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	spec := manifest.Spec
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "mqttbridge" ||
		spec.Version != "v1.2.3" || spec.ShortDescription == "" || len(spec.ShortDescription) > 50 || strings.HasSuffix(spec.ShortDescription, ".") {
		t.Errorf("the head is wrong:\n%s", &out)
	}
	if len(spec.Platforms) != len(archives) {
		t.Errorf("%d platforms, want %d", len(spec.Platforms), len(archives))
	}
	for i, p := range spec.Platforms {
		bin := "kubectl-mqttbridge"
		if archives[i].OS == "windows" {
			bin += ".exe"
		}
		if p.Bin != bin || !strings.HasSuffix(p.URI, "/v1.2.3/"+archives[i].Name) || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(p.SHA256) ||
			p.Selector.MatchLabels["os"] != archives[i].OS || p.Selector.MatchLabels["arch"] != archives[i].Arch {
			t.Errorf("the platform is wrong: %+v", p)
		}
	}
}
