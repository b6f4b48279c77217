package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// clusterPackages are the Debian packages that the cluster needs.
var clusterPackages = []string{
	"containernetworking-plugins",
	"gcc",
	"iproute2",
	"libc6-dev",
	"mosquitto",
	"mosquitto-clients",
	"nftables",
	"runc",
}

// testPackages are the Debian packages that only the tests need.
var testPackages = []string{
	"chromium",
	"microsocks",
	"mkdocs",
	"mkdocs-material",
	"openssl",
	"rabbitmq-server",
	"systemd",
	"tinyproxy",
}

// services are the services that Debian starts with a package. Only the programs are needed; the
// services would occupy ports of MQTT and HTTP.
var services = []string{"mosquitto", "rabbitmq-server", "tinyproxy"}

// testPrograms are programs that only the tests need, and that are often installed from a source other than Debian.
var testPrograms = []struct{ name, pkg string }{
	{"curl", "curl"},
	{"node", "nodejs"},
	{"npm", "npm"},
}

// installAllPackages installs the missing packages of the cluster and the tests.
func installAllPackages(ctx context.Context) error {
	names := slices.Concat(clusterPackages, testPackages)
	for _, p := range testPrograms {
		if _, err := exec.LookPath(p.name); err != nil {
			names = append(names, p.pkg)
		}
	}
	return installPackages(ctx, names)
}

// installPackages installs the packages that are missing.
func installPackages(ctx context.Context, names []string) error {
	var absent []string
	for _, name := range names {
		if _, err := packageVersion(ctx, name); err != nil {
			absent = append(absent, name)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("apt-get is not available: install the equivalents of these Debian packages: %s", strings.Join(absent, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing: install them as root with apt-get install %s", strings.Join(absent, " "))
	}
	progress("installing Debian packages: %s", strings.Join(absent, " "))
	install := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, absent...)
	for _, args := range [][]string{{"update", "--quiet"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w; check that this machine reaches the servers of /etc/apt, and run the command again\n%s", strings.Join(args, " "), err, output)
		}
	}
	for _, name := range services {
		if !slices.Contains(absent, name) {
			continue
		}
		if err := stopService(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// packageVersion returns the installed version of a Debian package.
func packageVersion(ctx context.Context, name string) (string, error) {
	output, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name).Output()
	if err != nil {
		return "", fmt.Errorf("query package %s: %w", name, err)
	}
	status, version, _ := bytes.Cut(output, []byte(" "))
	if string(status) != "installed" {
		return "", errors.New("package " + name + " is not installed")
	}
	return string(version), nil
}

// stopService stops a service that Debian started with the installation of its package.
func stopService(ctx context.Context, name string) error {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return execute(ctx, "systemctl", "disable", "--now", name+".service")
	}
	return execute(ctx, "service", name, "stop")
}
