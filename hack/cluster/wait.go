package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// readyTimeout is the time that the cluster may take to become ready. It takes some 15 s on two
	// idle cores; the rest is a reserve for a busy machine.
	readyTimeout = 3 * time.Minute

	readyPoll = 200 * time.Millisecond
)

// A check is one condition of a ready cluster.
type check struct {
	condition string
	// holds returns nil if the condition is true, and otherwise an error with the reason. It ends
	// when ctx does.
	holds func(ctx context.Context) error
}

func apiServerReady(bin string) check {
	return check{condition: "the API server answers", holds: func(ctx context.Context) error {
		return kubectl(ctx, bin, "get", "--raw=/readyz")
	}}
}

func containerdReady(bin string) check {
	return check{condition: "containerd answers", holds: func(ctx context.Context) error {
		return execute(ctx, filepath.Join(bin, "ctr"), "--address", containerdSocket, "version")
	}}
}

// clusterReady returns the conditions that a pod needs to run and to find its peers.
func clusterReady(bin string) []check {
	return []check{
		apiServerReady(bin),
		{condition: "the node is Ready", holds: func(ctx context.Context) error {
			return kubectl(ctx, bin, "wait", "--for=condition=Ready", "--timeout=1s", "node/"+nodeName)
		}},
		{condition: "the default service account exists", holds: func(ctx context.Context) error {
			return kubectl(ctx, bin, "get", "serviceaccount", "default")
		}},
		{condition: "DNS answers", holds: lookupAPIServer},
		{condition: "Services can be reached", holds: dialAPIService},
	}
}

func kubectl(ctx context.Context, bin string, args ...string) error {
	common := []string{"--kubeconfig", kubeconfigPath, "--cache-dir", filepath.Join(stateDir, "kubectl"), "--request-timeout=5s"}
	return execute(ctx, filepath.Join(bin, "kubectl"), slices.Concat(common, args)...)
}

// lookupAPIServer resolves the API server's name with the cluster's DNS.
func lookupAPIServer(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(nodeAddress, "53"))
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+clusterDomain+".")
	if err != nil {
		return err
	}
	if len(addresses) != 1 || addresses[0] != apiServiceAddress {
		return fmt.Errorf("DNS returns %v for the API server's Service, want %s", addresses, apiServiceAddress)
	}
	return nil
}

// dialAPIService shows that kube-proxy has written its rules.
func dialAPIService(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(apiServiceAddress, "443"))
	if err != nil {
		return err
	}
	return conn.Close()
}

// await tries each check in turn until it holds. It returns early with the end of the log if a
// process of the cluster ends.
func await(ctx context.Context, checks ...check) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, c := range checks {
		for {
			err := c.holds(ctx)
			if err == nil {
				break
			}
			if dead := deadProcesses(); len(dead) > 0 {
				return fmt.Errorf("waiting until %s: %w", c.condition, ended(dead))
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting until %s: %w: %w", c.condition, ctx.Err(), err)
			case <-time.After(readyPoll):
			}
		}
	}
	return nil
}

// deadProcesses returns the names of the started processes that no longer run.
func deadProcesses() []string {
	processes, err := startedProcesses()
	if err != nil {
		return []string{err.Error()}
	}
	var dead []string
	for _, p := range processes {
		if !p.alive() {
			dead = append(dead, p.Name)
		}
	}
	return dead
}

func ended(names []string) error {
	var message strings.Builder
	for _, name := range names {
		log, _ := os.ReadFile(logPath(name))
		fmt.Fprintf(&message, "%s has ended; the last lines of %s:\n%s", name, logPath(name), lastLines(log, 10))
	}
	return errors.New(message.String())
}
