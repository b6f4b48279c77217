// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// RunnerProgram is the name of the program in the runner's pods.
const RunnerProgram = "bridge-runner"

var errNotLocal = errors.New("only the pods of the local cluster are on this machine")

// SignalPod sends a signal to the processes of a program in a pod. SIGKILL ends them as the kernel does
// if memory is short: the kubelet then starts the container again, in the same pod. SIGSTOP makes them
// hang. It needs the local cluster, whose containers are processes of this machine, and no API server.
func (c *Cluster) SignalPod(pod *corev1.Pod, program string, signal syscall.Signal) error {
	if !c.Local {
		return errNotLocal
	}
	pids, err := pidsOf(pod, program)
	if err != nil {
		return err
	}
	signalled := 0
	for _, pid := range pids {
		switch err := syscall.Kill(pid, signal); {
		case errors.Is(err, syscall.ESRCH): // it has ended since
		case err != nil:
			return fmt.Errorf("sending %s to process %d of pod %s: %w", signal, pid, pod.Name, err)
		default:
			signalled++
		}
	}
	if signalled == 0 {
		return fmt.Errorf("no process %s of pod %s (%s) runs on this machine", program, pod.Name, pod.UID)
	}
	return nil
}

// pidsOf returns the processes of a program in a pod. The names of their cgroups contain the UID of the
// pod.
func pidsOf(pod *corev1.Pod, program string) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || strings.TrimSpace(string(name)) != program {
			continue // the process has ended, or is another program
		}
		groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil || !strings.Contains(string(groups), string(pod.UID)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
