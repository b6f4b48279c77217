package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Without the network, the error names the command, its output, and what to check.
func TestInstallAllPackages_AptGetFails_ErrorNamesTheRemedy(t *testing.T) {
	dir := t.TempDir()
	const script = "#!/bin/sh\necho 'Could not resolve deb.debian.org'\nexit 100\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir) // without dpkg-query, so that all packages are missing
	want := []string{"apt-get update --quiet", "Could not resolve deb.debian.org", "check that this machine reaches the servers of /etc/apt"}
	if os.Geteuid() != 0 {
		want = []string{"install them as root with apt-get install", "mosquitto"}
	}
	err := installAllPackages(t.Context())
	if err == nil {
		t.Fatal("installAllPackages succeeds without its packages")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error has no %q: %v", text, err)
		}
	}
}

// make demo runs on the machine of a newcomer: it installs none of the packages that only the tests need.
func TestClusterPackages_NoneIsForTestsOnly(t *testing.T) {
	for _, name := range testPackages {
		if slices.Contains(clusterPackages, name) {
			t.Errorf("%s is in both lists", name)
		}
	}
	dir := t.TempDir()
	var script strings.Builder
	script.WriteString("#!/bin/sh\ncase \"$3\" in\n")
	for _, name := range clusterPackages {
		script.WriteString(name + ") echo 'installed 1';;\n")
	}
	script.WriteString("*) exit 1;;\nesac\n")
	if err := os.WriteFile(filepath.Join(dir, "dpkg-query"), []byte(script.String()), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir) // without apt-get
	if err := installPackages(t.Context(), clusterPackages); err != nil {
		t.Errorf("the packages of the cluster are installed, and up wants more: %v", err)
	}
	if err := installAllPackages(t.Context()); err == nil || !strings.Contains(err.Error(), "chromium") {
		t.Errorf("the packages of the tests are missing: %v", err)
	}
}
