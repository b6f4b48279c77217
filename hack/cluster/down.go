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

// runDown stops the cluster and removes its state.
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
		progress("no cluster exists")
		return nil
	}
	if err := tearDown(ctx); err != nil {
		return err
	}
	progress("the cluster is removed; the built programs remain in the cache")
	return nil
}

// tearDown removes a cluster, also if it is only partly started. It may be repeated after a failure
// or an interruption.
func tearDown(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		// The processes stop first; otherwise the kubelet would restart the others.
		{"stop the processes", stopProcesses},
		{"stop the pods", stopPods},
		{"unmount the pods' volumes", func() error { return unmountBelow(stateDir) }},
		{"remove the pods' cgroups", removeCgroups},
		{"remove the network", func() error { return tearDownNetwork(ctx) }},
		{"remove files outside the state directory", removeLeftovers},
		{"remove the state", func() error { return os.RemoveAll(stateDir) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// stopProcesses stops the processes that "up" recorded, and no others.
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
			// After SIGTERM they would wait up to a minute for clients, and save data that is not
			// needed.
			signal = syscall.SIGKILL
		}
		all.Go(func() { errs[i] = p.stop(signal) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// stopPods stops the shims of this cluster's containerd, which outlive it, and their containers.
// When the first process of a container ends, the kernel ends the others.
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
		// A shim removes its sockets on SIGTERM, but not on SIGKILL.
		if err := shim.stop(syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// findShims returns the shims that this cluster's containerd started.
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
			continue // the process has ended
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
			continue // the process has ended
		}
		shims = append(shims, process{Name: "containerd-shim", PID: pid, StartTime: started, Boot: boot})
	}
	return shims, nil
}

// isShim reports whether a command line belongs to a shim of this cluster's containerd, which
// passes its own address to the shim.
func isShim(argv []string) bool {
	if filepath.Base(argv[0]) != "containerd-shim-runc-v2" {
		return false
	}
	i := slices.Index(argv, "-address")
	return i >= 0 && i+1 < len(argv) && argv[i+1] == containerdSocket
}

// childrenOf returns the direct children of a process.
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
