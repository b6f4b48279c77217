package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// readyTimeout is how long the cluster may take to become ready. It takes
	// some 15 s on two idle cores; the rest is for a busy machine.
	readyTimeout = 3 * time.Minute

	readyPoll = 200 * time.Millisecond
)

// A check is one thing that holds in a ready cluster.
type check struct {
	what string
	// holds returns an error that says why not, and ends when ctx does.
	holds func(ctx context.Context) error
}

func apiServerReady(bin string) check {
	return check{what: "the API server answers", holds: func(ctx context.Context) error {
		return kubectl(ctx, bin, "get", "--raw=/readyz")
	}}
}

func containerdReady(bin string) check {
	return check{what: "containerd answers", holds: func(ctx context.Context) error {
		return execute(ctx, filepath.Join(bin, "ctr"), "--address", containerdSocket, "version")
	}}
}

// clusterReady is what must hold before a pod can run and find its peers.
func clusterReady(bin string) []check {
	return []check{
		apiServerReady(bin),
		{what: "the node is Ready", holds: func(ctx context.Context) error {
			return kubectl(ctx, bin, "wait", "--for=condition=Ready", "--timeout=1s", "node/"+nodeName)
		}},
		{what: "the default service account exists", holds: func(ctx context.Context) error {
			return kubectl(ctx, bin, "get", "serviceaccount", "default")
		}},
		{what: "DNS answers", holds: lookupAPIServer},
		{what: "Services can be reached", holds: dialAPIService},
	}
}

func kubectl(ctx context.Context, bin string, args ...string) error {
	common := []string{"--kubeconfig", kubeconfigPath, "--cache-dir", filepath.Join(stateDir, "kubectl"), "--request-timeout=5s"}
	return execute(ctx, filepath.Join(bin, "kubectl"), append(common, args...)...)
}

// lookupAPIServer asks the cluster's own DNS for the API server's name.
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
		return fmt.Errorf("it says %v for the API server's Service, not %s", addresses, apiServiceAddress)
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

// await tries each check in turn until it holds. It gives up early when a
// process of the cluster ends, and says what that one logged last.
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
				return fmt.Errorf("waiting until %s: %w", c.what, ended(dead))
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting until %s: %w: %w", c.what, ctx.Err(), err)
			case <-time.After(readyPoll):
			}
		}
	}
	return nil
}

// deadProcesses are the names of those that were started and do not run any more.
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
		fmt.Fprintf(&message, "%s has ended; %s says last:\n%s", name, logPath(name), lastLines(log, 10))
	}
	return errors.New(message.String())
}
