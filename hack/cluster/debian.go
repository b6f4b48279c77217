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

// packages are what the cluster and the tests need that is not a Go module.
var packages = []string{
	"containernetworking-plugins",
	"gcc",
	"iproute2",
	"libc6-dev",
	"microsocks",
	"mosquitto",
	"mosquitto-clients",
	"nftables",
	"openssl",
	"rabbitmq-server",
	"runc",
	"tinyproxy",
}

// services are those that Debian starts with a package. Only the programs are wanted:
// the services would hold ports of MQTT and HTTP.
var services = []string{"mosquitto", "rabbitmq-server", "tinyproxy"}

// programs are wanted, too, and often there from elsewhere than Debian.
var programs = []struct{ name, pkg string }{
	{"node", "nodejs"},
	{"npm", "npm"},
}

// installPackages installs the packages that are missing, and only those.
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
		return fmt.Errorf("this is no Debian: install yourself what is named here as Debian's packages: %s", strings.Join(absent, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("install these packages first, as root: apt-get install %s", strings.Join(absent, " "))
	}
	progress("installing Debian packages: %s", strings.Join(absent, " "))
	install := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, absent...)
	for _, args := range [][]string{{"update", "--quiet"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, output)
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

// packageVersion is the installed version of a Debian package.
func packageVersion(ctx context.Context, name string) (string, error) {
	output, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name).Output()
	if err != nil {
		return "", fmt.Errorf("look for the package %s: %w", name, err)
	}
	status, version, _ := bytes.Cut(output, []byte(" "))
	if string(status) != "installed" {
		return "", errors.New(name + " is not installed")
	}
	return string(version), nil
}

// stopService stops a service that Debian started with its package.
func stopService(ctx context.Context, name string) error {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return execute(ctx, "systemctl", "disable", "--now", name+".service")
	}
	return execute(ctx, "service", name, "stop")
}
