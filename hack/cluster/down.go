package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// runDown ends the cluster.
func runDown(ctx context.Context) error {
	if err := checkMachine(); err != nil {
		return err
	}
	unlock, err := lock(ctx, clusterLock)
	if err != nil {
		return err
	}
	defer unlock()

	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		progress("no cluster is there")
		return nil
	}
	if err := tearDown(ctx); err != nil {
		return err
	}
	progress("the cluster is gone; what was built stays in the cache")
	return nil
}

// tearDown removes a cluster, whole or half started. It can be repeated after it
// failed or was interrupted.
func tearDown(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		// First, or the kubelet would start again what ends.
		{"stop the processes", stopProcesses},
		{"stop the pods", stopPods},
		{"unmount what pods used", func() error { return unmountBelow(stateDir) }},
		{"remove the pods' cgroups", removeCgroups},
		{"remove the network", func() error { return tearDownNetwork(ctx) }},
		{"remove what lies elsewhere", removeLeftovers},
		{"remove the state", func() error { return os.RemoveAll(stateDir) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// stopProcesses ends the processes that "up" recorded, and no other.
func stopProcesses() error {
	processes, err := startedProcesses()
	if err != nil {
		return err
	}
	errs := make([]error, len(processes))
	var all sync.WaitGroup
	for i, p := range processes {
		signal := syscall.SIGTERM
		if p.Name == "kube-apiserver" || p.Name == "etcd" {
			// Asked to end, they would wait for clients, up to a minute, and
			// save data that nobody will read.
			signal = syscall.SIGKILL
		}
		all.Go(func() { errs[i] = p.stop(signal) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// stopPods ends the shims of this cluster's containerd, which outlive it, and
// their containers. The kernel ends all of a container with its first process.
func stopPods() error {
	shims, err := findShims()
	if err != nil {
		return err
	}
	for _, shim := range shims {
		children, err := childrenOf(shim.PID)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := syscall.Kill(child, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		// Asked to end, not killed, a shim removes its sockets.
		if err := shim.stop(syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// findShims are the shims that were started for this cluster's containerd.
func findShims() ([]process, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var shims []process
	for _, file := range files {
		cmdline, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if !isShim(strings.Split(string(cmdline), "\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		started, err := startTime(pid)
		if err != nil {
			continue // it has ended
		}
		shims = append(shims, process{Name: "containerd-shim", PID: pid, StartTime: started, Boot: boot})
	}
	return shims, nil
}

// isShim says whether a command line is that of a shim of this cluster's
// containerd, which passes it its own address.
func isShim(argv []string) bool {
	if filepath.Base(argv[0]) != "containerd-shim-runc-v2" {
		return false
	}
	i := slices.Index(argv, "-address")
	return i >= 0 && i+1 < len(argv) && argv[i+1] == containerdSocket
}

// childrenOf are a process's direct children.
func childrenOf(pid int) ([]int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(content)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			children = append(children, child)
		}
	}
	return children, nil
}
