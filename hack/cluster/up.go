package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// runUp starts the cluster unless it already runs.
func runUp(ctx context.Context) error {
	if err := checkMachine(); err != nil {
		return err
	}
	unlock, err := lock(ctx, clusterLock)
	if err != nil {
		return err
	}
	defer unlock()

	bin, err := binDir()
	if err != nil {
		return err
	}
	running, err := isRunning(bin)
	if err != nil {
		return err
	}
	if running {
		if err := await(ctx, clusterReady(bin)...); err != nil {
			return fmt.Errorf("the cluster runs but is not healthy; stop it with \"down\": %w", err)
		}
		progress("the cluster is already running")
		printUse(bin)
		return nil
	}
	if _, err := os.Stat(stateDir); err == nil {
		progress("removing the remains of an earlier cluster")
		if err := tearDown(ctx); err != nil {
			return err
		}
	}
	if err := installPackages(ctx, clusterPackages); err != nil {
		return err
	}
	if bin, err = build(ctx, components); err != nil {
		return err
	}
	start := time.Now()
	if err := startCluster(ctx, bin); err != nil {
		return fmt.Errorf("%w\n(the started processes still run; \"logs\" lists the logs and \"down\" stops the cluster)", err)
	}
	progress("the cluster is ready after %.1f s", time.Since(start).Seconds())
	printUse(bin)
	return nil
}

// checkMachine returns an error if the cluster cannot run on this machine.
func checkMachine() error {
	if runtime.GOOS != "linux" {
		return errors.New("the cluster runs on Linux only: its node uses this machine's kernel")
	}
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root, because it creates network devices, mounts and namespaces; run the command as root")
	}
	return nil
}

// isRunning reports whether all processes of the cluster run. It returns an error if they were
// started from the programs of another cache key.
func isRunning(bin string) (bool, error) {
	processes, err := startedProcesses()
	if err != nil {
		return false, err
	}
	if len(processes) < len(nodeServices())+len(controlServices()) || len(deadProcesses()) > 0 {
		return false, nil
	}
	startedFrom, err := os.ReadFile(binDirFile)
	if err != nil {
		return false, err
	}
	if string(startedFrom) != bin {
		return false, fmt.Errorf("a cluster with other versions runs, from %s; stop it with \"down\" first", startedFrom)
	}
	return true, nil
}

// startCluster starts a cluster if none exists.
func startCluster(ctx context.Context, bin string) error {
	for _, dir := range []string{stateDir, pkiDir, configDir, logDir, processDir, containerdDir, filepath.Join(cniDir, "conf")} {
		// The directory holds keys: only root may enter.
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(binDirFile, []byte(bin), 0o644); err != nil {
		return err
	}
	if err := writePKI(); err != nil {
		return err
	}
	if err := writeConfig(); err != nil {
		return err
	}
	if err := setUpNetwork(ctx); err != nil {
		return err
	}

	progress("starting the node and its API server")
	if err := startServices(bin, nodeServices()); err != nil {
		return err
	}
	if err := await(ctx, containerdReady(bin)); err != nil {
		return err
	}
	if err := loadOwnImages(ctx, bin); err != nil {
		return err
	}
	if err := await(ctx, apiServerReady(bin)); err != nil {
		return err
	}
	progress("starting the controllers and the kubelet")
	if err := startServices(bin, controlServices()); err != nil {
		return err
	}
	return await(ctx, clusterReady(bin)...)
}

// startServices starts all services at once; services that depend on others retry. containerd uses
// the first shim on its PATH, so the cluster's programs come first.
func startServices(bin string, services []service) error {
	for _, s := range services {
		argv := append([]string{filepath.Join(bin, s.name)}, s.args...)
		if err := startProcess(s.name, bin, argv); err != nil {
			return err
		}
	}
	return nil
}

// printUse prints the settings with which the user reaches the cluster.
func printUse(bin string) {
	fmt.Println("export KUBECONFIG=" + kubeconfigPath)
	fmt.Println("export PATH=" + bin + ":$PATH")
}
