// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

const (
	namespace  = "mqttbridge-demo"
	bridgeName = "plant-to-cloud"

	// A cluster with cached images takes seconds; otherwise it pulls images first.
	readyTimeout = 3 * time.Minute
	// clearTimeout is the time to remove one object. A busy cluster needs minutes to end the pods of a namespace.
	clearTimeout = 3 * time.Minute
)

//go:embed bridge.yaml
var bridge string

// stage holds the objects that the demo creates on a cluster.
type stage struct {
	options
	cluster                    *cluster.Cluster
	operatorImage, brokerImage string
	undo                       []step // in the order of creation

	plant *cluster.Broker
	cloud []*cluster.Broker
}

// step removes one object.
type step struct {
	what string
	do   func(context.Context) error
}

var began = time.Now()

// say prints a line with the time since the start.
func say(format string, args ...any) {
	fmt.Printf("[%5.1fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *stage) onCleanUp(what string, do func(context.Context) error) {
	s.undo = append(s.undo, step{what, do})
}

// cleanUp removes the created objects, the latest first.
func (s *stage) cleanUp(ctx context.Context) error {
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		say("cleaning up: removing %s", s.undo[i].what)
		if err := s.undo[i].remove(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s step) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	err := s.do(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%s is not removed after %s; the cluster may still be removing it: %w", s.what, clearTimeout, err)
	case err != nil:
		return fmt.Errorf("removing %s: %w", s.what, err)
	}
	return nil
}

// setUp prepares the cluster until the bridge forwards.
func (s *stage) setUp(ctx context.Context) error {
	for _, part := range []func(context.Context) error{s.useCluster, s.loadImages, s.installOperator, s.makeNamespace, s.startBrokers, s.applyBridge} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) useCluster(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat("hack/demo"); err != nil {
		return errors.New("the working directory is not the project's root: start the demo there, with make demo or go run ./hack/demo")
	}
	if err := checkMachine(s.choice.Context, runtime.GOOS, os.Geteuid()); err != nil {
		return err
	}
	if s.choice.Context != "" {
		say("using the cluster of context %s", s.choice.Context)
	} else {
		say("starting the local cluster; the first start builds it, which takes some 20 minutes on two cores")
		say("to use your own cluster instead: make demo CONTEXT=name DEMO_FLAGS=--operator-image=IMAGE")
	}
	err = meanwhile(func() (err error) {
		s.cluster, err = s.choice.Open(ctx, root, os.Stderr)
		return err
	}, warmStart, func() {
		if s.choice.Context == "" {
			showTry(ctx)
		}
	})
	if err != nil {
		return err
	}
	if s.cluster.Started {
		s.onCleanUp("the local cluster", s.cluster.Down)
	}
	return nil
}

// warmStart is the time after which the local cluster has started if its programs were built before.
const warmStart = time.Minute

// meanwhile does the work, and shows something if the work takes longer than a time.
func meanwhile(work func() error, longerThan time.Duration, show func()) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-time.After(longerThan):
	}
	show()
	return <-done
}

// showTry shows the failover without Kubernetes. A failure does not end the demo: the build needs all
// processors, so that the times of make try can be too short.
func showTry(ctx context.Context) {
	say("the cluster is still being built; meanwhile, make try shows the failover without Kubernetes")
	try := exec.CommandContext(ctx, "make", "try")
	try.Stdout, try.Stderr = os.Stdout, os.Stderr
	if err := try.Run(); err != nil {
		say("make try: %v", err)
	}
	say("waiting until the cluster is built")
}

// checkMachine returns an error if the demo uses the local cluster and this machine cannot run it.
func checkMachine(contextName, system string, user int) error {
	if contextName != "" || system == "linux" && user == 0 {
		return nil
	}
	return errors.New("the local cluster needs root on Linux: run make demo as root there; " +
		"or use your own cluster, with make demo CONTEXT=name DEMO_FLAGS=--operator-image=IMAGE; " +
		"or run make try, which needs no cluster")
}

func (s *stage) loadImages(ctx context.Context) (err error) {
	if s.cluster.Local {
		say("building the operator and the runner from this checkout, and loading them")
	}
	s.operatorImage, s.brokerImage, err = s.choice.Images(ctx, s.cluster)
	return err
}

func (s *stage) installOperator(ctx context.Context) error {
	say("installing the operator with Helm; the first time compiles Helm, which takes minutes")
	release, err := s.cluster.NewRelease(ctx)
	if err != nil {
		return err
	}
	s.onCleanUp("the operator", release.Uninstall)
	return release.Install(ctx, s.operatorImage)
}

func (s *stage) makeNamespace(ctx context.Context) error {
	namespaces := s.cluster.Client.CoreV1().Namespaces()
	_, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   namespace,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s exists, for example from a demo with --keep; delete it first: kubectl delete namespace %s", namespace, namespace)
	}
	if err != nil {
		return err
	}
	s.onCleanUp("the namespace "+namespace, func(ctx context.Context) error {
		_, err := s.cluster.Kubectl(ctx, "delete", "namespace", namespace, "--wait")
		return err
	})
	return nil
}

func (s *stage) startBrokers(ctx context.Context) error {
	say("starting four Mosquitto brokers: plant, and cloud-1 to cloud-3")
	for _, name := range []string{"plant", "cloud-1", "cloud-2", "cloud-3"} {
		b, err := s.cluster.CreateBroker(ctx, namespace, name, s.brokerImage, cluster.BrokerConfig, nil)
		if err != nil {
			return err
		}
		if name == "plant" {
			s.plant = b
		} else {
			s.cloud = append(s.cloud, b)
		}
	}
	for _, b := range append(s.cloud, s.plant) {
		if err := b.WaitReady(ctx, readyTimeout); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) applyBridge(ctx context.Context) error {
	say("kubectl apply -f hack/demo/bridge.yaml")
	if _, err := s.cluster.KubectlWithInput(ctx, bridge, "apply", "-n", namespace, "-f", "-"); err != nil {
		return err
	}
	_, err := s.cluster.Kubectl(ctx, "wait", "-n", namespace, "mqttbridge/"+bridgeName, "--for=condition=Ready", "--timeout="+readyTimeout.String())
	return err
}
