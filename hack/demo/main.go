// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows a bridge failing over, on a real Kubernetes cluster: it
// installs the operator and four brokers, sends a steady stream of messages
// through a bridge, takes the primary server away, and counts what arrived.
//
// Without --context it uses the local cluster of hack/cluster, which needs root
// on Linux, and starts it where it does not run. It asks nothing, and takes away
// what it made, also when it is interrupted. The exit code is above 0 when a
// message was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

type options struct {
	context       string
	operatorImage string
	brokerImage   string
	rate          int
	keep          bool
}

func main() {
	var o options
	flag.StringVar(&o.context, "context", os.Getenv("CONTEXT"), "a `context` of your kubeconfig to use instead of the local cluster")
	flag.StringVar(&o.operatorImage, "operator-image", "", "the operator's `image` on a cluster of your own: build it with the Dockerfile and push it to where that cluster pulls from")
	flag.StringVar(&o.brokerImage, "broker-image", "docker.io/library/eclipse-mosquitto:2.0.22", "the brokers' `image` on a cluster of your own: a Mosquitto 2")
	flag.IntVar(&o.rate, "rate", 100, "`messages` a second")
	flag.BoolVar(&o.keep, "keep", false, "leave everything as it is at the end")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the demo at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run sets the stage, plays, and clears up.
func run(ctx context.Context, o options) (err error) {
	if o.context != "" && o.operatorImage == "" {
		return errors.New("a cluster of your own pulls images from a registry: build the operator's image with the Dockerfile, push it, and name it with --operator-image")
	}
	s := &stage{options: o}
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if !o.keep {
			err = errors.Join(err, s.clear(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.set(ctx); err != nil {
		return err
	}
	return s.play(ctx)
}
