package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// runUp starts the cluster unless it runs already.
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
			return fmt.Errorf("the cluster runs but is not healthy, \"down\" ends it: %w", err)
		}
		progress("the cluster is already running")
		printUse(bin)
		return nil
	}
	if _, err := os.Stat(stateDir); err == nil {
		progress("removing what is left of an earlier cluster")
		if err := tearDown(ctx); err != nil {
			return err
		}
	}
	if err := installPackages(ctx); err != nil {
		return err
	}
	if bin, err = build(ctx, components); err != nil {
		return err
	}
	start := time.Now()
	if err := startCluster(ctx, bin); err != nil {
		return fmt.Errorf("%w\n(what has started still runs; \"logs\" lists the logs and \"down\" ends it)", err)
	}
	progress("the cluster is ready after %.1f s", time.Since(start).Seconds())
	printUse(bin)
	return nil
}

// checkMachine refuses where the cluster cannot run.
func checkMachine() error {
	if runtime.GOOS != "linux" {
		return errors.New("the cluster runs on Linux alone: its node is this machine's kernel")
	}
	if os.Geteuid() != 0 {
		return errors.New("the cluster needs root: it makes network devices, mounts and namespaces")
	}
	return nil
}

// isRunning says whether all of the cluster's processes run. It fails when they
// run from other programs than this checkout's.
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
		return false, fmt.Errorf("a cluster of other versions runs, from %s: end it with \"down\" first", startedFrom)
	}
	return true, nil
}

// startCluster starts a cluster where there is none.
func startCluster(ctx context.Context, bin string) error {
	for _, dir := range []string{stateDir, pkiDir, configDir, logDir, processDir, containerdDir, filepath.Join(cniDir, "conf")} {
		// The directory holds keys: nobody else may enter.
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

// startServices starts them all at once; those that need another one retry.
// containerd takes the first shim on its PATH, so ours goes first.
func startServices(bin string, services []service) error {
	for _, s := range services {
		argv := append([]string{filepath.Join(bin, s.name)}, s.args...)
		if err := startProcess(s.name, bin, argv); err != nil {
			return err
		}
	}
	return nil
}

// printUse tells the person how to reach the cluster.
func printUse(bin string) {
	fmt.Println(strings.Join([]string{
		"export KUBECONFIG=" + kubeconfigPath,
		"export PATH=" + bin + ":$PATH",
	}, "\n"))
}
