package main

import (
	"errors"
	"fmt"
	"syscall"
)

// runSignal sends a signal to the named programs of the cluster, and to no other processes. SIGSTOP
// makes a program hang, as a lost machine would, until it receives SIGCONT.
func runSignal(names []string, signal syscall.Signal) error {
	if len(names) == 0 {
		return errors.New(`no program given, for example "kubelet"; "logs" lists the programs`)
	}
	processes, err := startedProcesses()
	if err != nil {
		return err
	}
	for _, name := range names {
		p, err := findProcess(processes, name)
		if err != nil {
			return err
		}
		if err := syscall.Kill(p.PID, signal); err != nil {
			return fmt.Errorf("send %s to %s (pid %d): %w", signal, name, p.PID, err)
		}
	}
	return nil
}

// findProcess returns the running process with the name.
func findProcess(processes []process, name string) (process, error) {
	for _, p := range processes {
		if p.Name == name && p.alive() {
			return p, nil
		}
	}
	return process{}, fmt.Errorf("no program %q of the cluster runs; \"up\" starts the cluster", name)
}
