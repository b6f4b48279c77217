// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// Without -all, the snapshot has one platform of each kind: of this machine, with 32 bits, and with another
// format of programs and archives.
var all = flag.Bool("all", false, "build the snapshot for all platforms of a release (make release-test)")

var someTargets = []string{"linux_amd64", "linux_arm_7", "windows_amd64"}

// releasePlatforms are the platforms of each program in a release, as in the names of the archives.
func releasePlatforms() map[string][]string {
	image := []string{"linux_amd64", "linux_arm64", "linux_armv7"}
	every := append(slices.Clone(image), "darwin_amd64", "darwin_arm64", "windows_amd64")
	return map[string][]string{"manager": image, "bridge-runner": every, "kubectl-mqttbridge": every}
}

// programs are the platforms of each program in the snapshot.
func programs() map[string][]string {
	out := releasePlatforms()
	for program, platforms := range out {
		out[program] = slices.DeleteFunc(platforms, func(p string) bool { return !inSnapshot(p) })
	}
	return out
}

func inSnapshot(platform string) bool {
	return *all || slices.Contains(someTargets, strings.Replace(platform, "armv7", "arm_7", 1))
}

// imagePlatforms returns the platforms of the image in the snapshot, and their names in the archives.
func imagePlatforms() map[string]string {
	out := map[string]string{}
	for _, platform := range programs()["manager"] {
		out[strings.NewReplacer("_", "/", "armv7", "arm/v7").Replace(platform)] = platform
	}
	return out
}

// config is the part of .goreleaser.yaml that lists platforms.
type config struct {
	Builds []struct {
		ID      string
		Targets []string
	}
	Images []struct{ Platforms []string } `json:"dockers_v2"`
}

func readConfig(data []byte) (c config, err error) {
	err = yaml.Unmarshal(data, &c)
	return c, err
}

// writeSomeTargets writes a copy of .goreleaser.yaml that has only some of the targets, and returns its path.
// It removes lines, so that everything else is as in a release.
func writeSomeTargets(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), ".goreleaser.yaml"))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(data)) {
		target, isItem := strings.CutPrefix(strings.TrimSpace(line), "- ")
		isTarget := isItem && slices.ContainsFunc([]string{"linux_", "darwin_", "windows_"}, func(system string) bool { return strings.HasPrefix(target, system) })
		if !isTarget || slices.Contains(someTargets, target) {
			out.WriteString(strings.Replace(line, "[linux/amd64, linux/arm64, linux/arm/v7]", "[linux/amd64, linux/arm/v7]", 1))
		}
	}
	c, err := readConfig(out.Bytes())
	if err != nil {
		return "", err
	}
	for _, build := range c.Builds {
		for _, target := range build.Targets {
			if !slices.Contains(someTargets, target) {
				return "", fmt.Errorf(".goreleaser.yaml: the target %s of %s is not on a line of its own; write one target per line", target, build.ID)
			}
		}
	}
	for _, image := range c.Images {
		if len(image.Platforms) != 2 {
			return "", fmt.Errorf(".goreleaser.yaml: the platforms of the image are %q; change writeSomeTargets, which removes linux/arm64", image.Platforms)
		}
	}
	path := filepath.Join(dir, "goreleaser.yaml")
	return path, os.WriteFile(path, out.Bytes(), 0o600)
}

// A snapshot for some platforms does not show whether the others are missing in the configuration.
func TestGoreleaser_Configuration_HasAllPlatforms(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	want := releasePlatforms()
	if len(c.Builds) != len(want) {
		t.Errorf("%d builds; want %d", len(c.Builds), len(want))
	}
	for _, build := range c.Builds {
		var got []string
		for _, target := range build.Targets {
			got = append(got, strings.Replace(target, "arm_7", "armv7", 1))
		}
		if !slices.Equal(got, want[build.ID]) {
			t.Errorf("the targets of %s are %q; want %q", build.ID, got, want[build.ID])
		}
	}
	if images := []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}; len(c.Images) != 1 || !slices.Equal(c.Images[0].Platforms, images) {
		t.Errorf("the images are %+v; want one with the platforms %q", c.Images, images)
	}
}
