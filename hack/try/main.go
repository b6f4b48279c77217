// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command try shows the failover of a bridge on one machine, with Go alone. It starts a local broker,
// three remote brokers and the runner as processes, sends a steady stream of messages through the
// bridge, kills the primary server, all remote servers and the runner, and counts the messages that
// arrive.
//
// It works in a temporary directory and on free ports of the loopback address, and removes everything
// that it created, also when it is interrupted. The exit code is above 0 if a message was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	runner, broker string
	rate           int
	quick, keep    bool
}

// stableSeconds is the time for which the primary must be stable before the failback.
func (o *options) stableSeconds() int {
	if o.quick {
		return 1
	}
	return 5
}

// flow is the length of the stream before and after each change.
func (o *options) flow() time.Duration {
	if o.quick {
		return 500 * time.Millisecond
	}
	return 5 * time.Second
}

// downTime is the time from the end of the runner, or of all remote servers, to the next start.
func (o *options) downTime() time.Duration { return o.flow() * 2 / 5 }

func main() {
	var o options
	flag.StringVar(&o.runner, "runner", "bin/bridge-runner", "the `program` bridge-runner")
	flag.StringVar(&o.broker, "broker", "bin/try-broker", "the `program` of hack/try/broker")
	flag.IntVar(&o.rate, "rate", 500, "number of `messages` a second, from 1 to 5000")
	flag.BoolVar(&o.quick, "quick", false, "send only for a short time between the changes")
	flag.BoolVar(&o.keep, "keep", false, "after the result, continue to send messages until Ctrl-C")
	flag.Parse()
	if o.rate < 1 || o.rate > 5000 {
		fmt.Fprintf(os.Stderr, "try: --rate=%d is not between 1 and 5000: choose a rate in this range\n", o.rate)
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "try:", err)
		os.Exit(1)
	}
}

// run starts the processes, plays the story and removes everything.
func run(ctx context.Context, o options) (err error) {
	w, err := newWorld(o)
	if err != nil {
		return err
	}
	v := newView(os.Stdout, w.rows)
	defer func() {
		v.close()
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted; all programs are ended, and their files are removed")
		}
		err = errors.Join(err, w.close())
	}()
	return w.play(ctx, v)
}
