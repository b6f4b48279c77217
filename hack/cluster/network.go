package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

const forwardingSysctl = "/proc/sys/net/ipv4/ip_forward"

// setUpNetwork gives the node its address and lets the kernel forward between pods. The CNI plugin
// ptp creates the links of pods: each pod's traffic is routed, so that Services work without the
// kernel's bridge filter, which some machines lack.
func setUpNetwork(ctx context.Context) error {
	before, err := os.ReadFile(forwardingSysctl)
	if err != nil {
		return err
	}
	if err := os.WriteFile(forwardingFile, before, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(forwardingSysctl, []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enable IP forwarding: %w", err)
	}
	for _, args := range [][]string{
		{"link", "add", nodeDevice, "type", "bridge"},
		{"address", "add", nodeAddress + "/32", "dev", nodeDevice},
		{"link", "set", nodeDevice, "up"},
		// kube-proxy rewrites these packets before they leave. The route gives them a source
		// address, and keeps packets without a matching Service on this machine.
		{"route", "add", serviceCIDR, "dev", nodeDevice, "src", nodeAddress},
	} {
		if err := execute(ctx, "ip", args...); err != nil {
			return fmt.Errorf("set up the node's network: %w", err)
		}
	}
	return nil
}

// tearDownNetwork reverts setUpNetwork and removes kube-proxy's rules. The pods' links have
// disappeared with their network namespaces.
func tearDownNetwork(ctx context.Context) error {
	for _, family := range []string{"ip", "ip6"} {
		if execute(ctx, "nft", "list", "table", family, "kube-proxy") != nil {
			continue
		}
		if err := execute(ctx, "nft", "delete", "table", family, "kube-proxy"); err != nil {
			return err
		}
	}
	if _, err := os.Stat("/sys/class/net/" + nodeDevice); err == nil {
		if err := execute(ctx, "ip", "link", "delete", nodeDevice); err != nil {
			return err
		}
	}
	before, err := os.ReadFile(forwardingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(forwardingSysctl, before, 0o644)
}

// execute runs a program and returns an error with its output if it fails.
func execute(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
