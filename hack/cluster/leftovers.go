package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// unmountBelow unmounts all mounts below dir, the innermost first.
func unmountBelow(dir string) error {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	targets := mountsBelow(string(mountinfo), dir)
	for _, target := range slices.Backward(targets) {
		// The unmount is lazy, because a process that is about to end may still use the mount.
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", target, err)
		}
	}
	return nil
}

// mountsBelow returns the mount points below dir, in mount order.
func mountsBelow(mountinfo, dir string) []string {
	// The kernel writes special characters of paths in octal; see proc(5).
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var targets []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if target := unescape.Replace(fields[4]); strings.HasPrefix(target, dir+"/") {
			targets = append(targets, target)
		}
	}
	return targets
}

// cgroupGrace is the time that the kernel may take to empty the cgroups of killed processes.
const cgroupGrace = 5 * time.Second

// removeCgroups removes the kubelet's cgroups, in both versions of cgroups.
func removeCgroups() error {
	var roots []string
	for _, pattern := range []string{"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/*/kubepods"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		roots = append(roots, matches...)
	}
	for _, root := range roots {
		for deadline := time.Now().Add(cgroupGrace); ; time.Sleep(stopPoll) {
			err := removeCgroup(root)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
		}
	}
	return nil
}

// removeCgroup removes a cgroup and its descendants. Only the directories of a cgroup can be
// removed; their files disappear with them.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := removeCgroup(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove the cgroup %s: %w", dir, err)
	}
	return nil
}

// removeLeftovers removes files that the kubelet and containerd write to fixed paths. Other
// programs may use these paths, too: it removes only files that refer to this cluster's state, and
// only empty directories.
func removeLeftovers() error {
	logs, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, log := range logs {
		if target, err := os.Readlink(log); err != nil || !strings.HasPrefix(target, stateDir+"/") {
			continue
		}
		if err := os.Remove(log); err != nil {
			return err
		}
	}
	// The results of the CNI plugins contain the path of the pod's network namespace.
	results, err := filepath.Glob("/var/lib/cni/results/*")
	if err != nil {
		return err
	}
	for _, result := range results {
		content, err := os.ReadFile(result)
		if err != nil || !bytes.Contains(content, []byte(stateDir+"/")) {
			continue
		}
		if err := os.Remove(result); err != nil {
			return err
		}
	}
	// This is the kubelet's socket for devices. If the kubelet of another cluster runs, it accepts
	// the connection, and the socket stays.
	const socket = "/var/lib/kubelet/device-plugins/kubelet.sock"
	if conn, err := net.Dial("unix", socket); err == nil {
		_ = conn.Close()
	} else if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{
		"/var/log/containers",
		"/var/lib/cni/results", "/var/lib/cni",
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
		"/run/containerd/s", "/run/containerd",
	} {
		err := syscall.Rmdir(dir)
		if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
	}
	return nil
}
