// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the failover of a bridge on a real Kubernetes cluster: it installs the
// operator and four brokers, sends a steady stream of messages through a bridge, kills the primary
// server, and counts the messages that arrive.
//
// Without --context it uses the local cluster of hack/cluster, which needs root on Linux, and
// starts it if it does not run. The demo asks no questions and removes everything that it created,
// also when it is interrupted. The exit code is above 0 if a message was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

type options struct {
	choice cluster.Choice
	rate   int
	keep   bool
}

func (o *options) addFlags(flags *flag.FlagSet) {
	o.choice.AddFlags(flags)
	flags.IntVar(&o.rate, "rate", 100, "number of `messages` a second")
	flags.BoolVar(&o.keep, "keep", false, "keep the operator, the brokers and the bridge at the end")
}

func main() {
	var o options
	o.addFlags(flag.CommandLine)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the demo at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run prepares the cluster, plays the demo and cleans up.
func run(ctx context.Context, o options) (err error) {
	s := &stage{options: o}
	defer func() {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		if !o.keep {
			err = errors.Join(err, s.cleanUp(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.setUp(ctx); err != nil {
		return err
	}
	return s.play(ctx)
}
