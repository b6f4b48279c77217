// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolatedEnv marks the process that runs in the namespaces.
const isolatedEnv = "MQTTBRIDGE_ISOLATED"

// isolated reports whether this process has a separate network namespace.
func isolated() bool { return os.Getenv(isolatedEnv) != "" }

// isolate runs this program again in separate namespaces: for the network, and for the mount of
// /etc/resolv.conf. A user other than root also gets a user namespace, if the system permits it.
// entered is true if the program ran in the namespaces.
func isolate() (code int, entered bool, err error) {
	// The kernel kills the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 1, false, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolatedEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	root := os.Geteuid() == 0
	if !root {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		if !root && (errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOSPC)) {
			return 0, false, nil // the system does not permit user namespaces
		}
		return 1, false, fmt.Errorf("enter a network namespace: %w; a container needs CAP_SYS_ADMIN", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), true, nil
	}
	return 0, true, err
}

// furnish sets up the namespaces: loopback, small buffers, a firewall and a name server.
func furnish() error {
	if err := execute("", "ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	// With small buffers, a server that does not read is detected before megabytes are in transit
	// to it.
	for _, name := range []string{"tcp_rmem", "tcp_wmem"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte("4096 65536 131072"), 0); err != nil {
			return fmt.Errorf("limit the buffers of TCP: %w", err)
		}
	}
	if err := execute(ruleset, "nft", "-f", "-"); err != nil {
		return err
	}
	return serveNames(func(resolvConf string) error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount(resolvConf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount resolv.conf: %w", err)
		}
		return nil
	})
}
