// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// archive returns the path of the archive of a program for a platform.
func (s *snapshot) archive(program, platform string) string {
	format := ".tar.gz"
	if platform == "windows_amd64" {
		format = ".zip"
	}
	return filepath.Join(apiserver.Root(), "dist", fmt.Sprintf("%s_%s_%s%s", program, s.Version, platform, format))
}

// names returns the names of the artifacts of a type.
func (s *snapshot) names(kind string) []string {
	var names []string
	for i := range s.artifacts {
		if s.artifacts[i].Type == kind {
			names = append(names, s.artifacts[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// open returns the files of an archive, by name.
func open(t *testing.T, path string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	if strings.HasSuffix(path, ".zip") {
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, f := range r.File {
			if out[f.Name], err = fs.ReadFile(r, f.Name); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		return out
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if out[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// platformOf returns the platform that a program was built for.
func platformOf(program []byte) (string, error) {
	r := bytes.NewReader(program)
	if f, err := elf.NewFile(r); err == nil {
		names := map[elf.Machine]string{elf.EM_X86_64: "linux_amd64", elf.EM_AARCH64: "linux_arm64", elf.EM_ARM: "linux_armv7"}
		return names[f.Machine], nil
	}
	if f, err := macho.NewFile(r); err == nil {
		names := map[macho.Cpu]string{macho.CpuAmd64: "darwin_amd64", macho.CpuArm64: "darwin_arm64"}
		return names[f.Cpu], nil
	}
	f, err := pe.NewFile(r)
	if err != nil || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		return "", fmt.Errorf("not a program of a known platform: %w", err)
	}
	return "windows_amd64", nil
}

func TestSnapshot_Archives_HaveProgramOfThePlatformAndLicense(t *testing.T) {
	s := built(t)
	var want []string
	for program, platforms := range programs() {
		for _, platform := range platforms {
			path, suffix := s.archive(program, platform), ""
			if platform == "windows_amd64" {
				suffix = ".exe"
			}
			name := filepath.Base(path)
			want = append(want, name)
			files := open(t, path)
			if got, err := platformOf(files[program+suffix]); err != nil || got != platform {
				t.Errorf("%s: the program is for %q: %v", name, got, err)
			}
			if !bytes.Contains(files["LICENSE"], []byte("Apache License")) {
				t.Errorf("%s has no license: %q", name, slices.Sorted(maps.Keys(files)))
			}
		}
	}
	slices.Sort(want)
	if got := s.names("Archive"); !slices.Equal(got, want) {
		t.Errorf("the archives are\n%q\nwant\n%q", got, want)
	}
}

// The version is in the binaries of all platforms. Those for this machine print it.
func TestSnapshot_Programs_PrintTheVersion(t *testing.T) {
	s, ran := built(t), 0
	for i := range s.artifacts {
		a := &s.artifacts[i]
		if a.Type != "Binary" {
			continue
		}
		data, err := os.ReadFile(a.file())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte("v"+s.Version)) || !bytes.Contains(data, []byte(s.Commit)) {
			t.Errorf("%s has not the version %s and the revision %s", a.Path, s.Version, s.Commit)
		}
		if bytes.Contains(data, []byte(apiserver.Root())) {
			t.Errorf("%s has the path of this machine", a.Path)
		}
		if a.Goos != runtime.GOOS || a.Goarch != runtime.GOARCH {
			continue
		}
		ran++
		out, err := exec.CommandContext(t.Context(), a.file(), "--version").Output()
		if want := "v" + s.Version + ", revision " + s.Commit; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s prints %q and %v; want %q", a.Name, out, err, want)
		}
	}
	if ran != len(programs()) {
		t.Errorf("%d programs ran; want %d", ran, len(programs()))
	}
}

// The documented command builds the same bytes, also in another directory.
func TestReleasesPage_Rebuild_IsTheSameProgram(t *testing.T) {
	s := built(t)
	commands := documented(t, "Verification")
	command := documentedVersion.ReplaceAllString(commands[len(commands)-1], "VERSION="+s.Version)
	dir := filepath.Join(t.TempDir(), "elsewhere")
	run(t, "git clone --quiet --no-tags . "+dir+" && git -C "+dir+" checkout --quiet "+s.Commit)
	run(t, "git ls-files -z | xargs -0 cp --parents --target-directory="+dir) // with changes that are not committed
	got, want := run(t, "cd "+dir+"\n"+command), ""
	for i := range s.artifacts {
		if a := &s.artifacts[i]; a.Type == "Binary" && a.Name == "bridge-runner" && a.Goarch == "arm" {
			want = sum(t, a.file())
		}
	}
	if want == "" || !strings.HasPrefix(got, want) {
		t.Errorf("the checksum is %s, and the snapshot's %q", got, want)
	}
}

func sum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:])
}

func TestSnapshot_Checksums_CoverAllFiles(t *testing.T) {
	s := built(t)
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), "dist", "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := append(s.names("Archive"), s.names("SBOM")...)
	want = append(want, "crds.yaml", "install.yaml", "mqttbridge-operator-"+s.Version+".tgz")
	slices.Sort(want)
	var got []string
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		path := filepath.Join(apiserver.Root(), "dist", words[1])
		if _, err := os.Stat(path); err != nil {
			path = filepath.Join(extraFiles(), words[1])
		}
		if sum(t, path) != words[0] {
			t.Errorf("the checksum of %s is not %s", path, words[0])
		}
		got = append(got, words[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("checksums.txt has\n%q\nwant\n%q", got, want)
	}
}

func TestSnapshot_SBOMs_ListTheModulesOfEachProgram(t *testing.T) {
	s := built(t)
	binaries := 0
	for _, platforms := range programs() {
		binaries += len(platforms)
	}
	names := s.names("SBOM")
	if len(names) != binaries {
		t.Errorf("%d SBOMs for %d programs: %q", len(names), binaries, names)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(apiserver.Root(), "dist", name))
		if err != nil {
			t.Fatal(err)
		}
		var sbom struct {
			BOMFormat string
			Metadata  struct {
				Component struct{ Name, Version string }
			}
			Components []struct {
				Name, Version, PURL string
				Hashes              []struct{ Alg, Content string }
			}
		}
		if err := json.Unmarshal(data, &sbom); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		main := sbom.Metadata.Component
		if sbom.BOMFormat != "CycloneDX" || !strings.HasPrefix(main.Name, "github.com/mqttbridge/mqttbridge-operator") || main.Version != "v"+s.Version {
			t.Errorf("%s: the format is %q, and the program %+v", name, sbom.BOMFormat, main)
		}
		modules := map[string]bool{}
		for _, c := range sbom.Components {
			modules[c.Name] = true
			if c.Name == ".." { // this project's module, which the plugin's module replaces by its directory
				continue
			}
			if c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:golang/") || c.Name != "std" && len(c.Hashes) == 0 {
				t.Errorf("%s: the component %+v has no version, no package URL or no checksum", name, c)
			}
		}
		if !modules["std"] || !modules["k8s.io/apimachinery"] || modules["github.com/eclipse/paho.golang"] {
			t.Errorf("%s: the components are %q", name, slices.Sorted(maps.Keys(modules)))
		}
	}
}
