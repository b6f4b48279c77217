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

// KillContainer ends the processes of a container by SIGKILL, as the kernel does if memory is short. The
// kubelet then starts the container again, in the same pod. It needs the local cluster, whose containers
// are processes of this machine.
func (c *Cluster) KillContainer(pod *corev1.Pod, container string) error {
	if !c.Local {
		return errors.New("only the containers of the local cluster are processes of this machine")
	}
	id, err := containerID(pod, container)
	if err != nil {
		return err
	}
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	killed := 0
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(groups), id) {
			continue // the process has ended, or is not of the container
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return err
		}
		switch err := syscall.Kill(pid, syscall.SIGKILL); {
		case errors.Is(err, syscall.ESRCH): // it has ended since
		case err != nil:
			return fmt.Errorf("killing process %d of container %s of pod %s: %w", pid, container, pod.Name, err)
		default:
			killed++
		}
	}
	if killed == 0 {
		return fmt.Errorf("no process of container %s (%s) of pod %s runs on this machine", container, id, pod.Name)
	}
	return nil
}

// containerID returns the identifier of a running container, which the name of its cgroup contains.
func containerID(pod *corev1.Pod, container string) (string, error) {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if s.Name != container || s.State.Running == nil {
			continue
		}
		if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("pod %s has no running container %s: %+v", pod.Name, container, pod.Status.ContainerStatuses)
}
