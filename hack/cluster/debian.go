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

// packages are the Debian packages that the cluster and the tests need.
var packages = []string{
	"chromium",
	"containernetworking-plugins",
	"gcc",
	"iproute2",
	"libc6-dev",
	"microsocks",
	"mkdocs",
	"mkdocs-material",
	"mosquitto",
	"mosquitto-clients",
	"nftables",
	"openssl",
	"rabbitmq-server",
	"runc",
	"systemd",
	"tinyproxy",
}

// services are the services that Debian starts with a package. Only the programs are needed; the
// services would occupy ports of MQTT and HTTP.
var services = []string{"mosquitto", "rabbitmq-server", "tinyproxy"}

// programs are needed, too, and are often installed from a source other than Debian.
var programs = []struct{ name, pkg string }{
	{"curl", "curl"},
	{"node", "nodejs"},
	{"npm", "npm"},
}

// installPackages installs the missing packages only.
func installPackages(ctx context.Context) error {
	var absent []string
	for _, name := range packages {
		if _, err := packageVersion(ctx, name); err != nil {
			absent = append(absent, name)
		}
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			absent = append(absent, p.pkg)
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
