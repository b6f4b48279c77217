package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without the network, the error names the command, its output, and what to check.
func TestInstallPackages_AptGetFails_ErrorNamesTheRemedy(t *testing.T) {
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
	err := installPackages(t.Context())
	if err == nil {
		t.Fatal("installPackages succeeds without its packages")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error has no %q: %v", text, err)
		}
	}
}
