// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scale measures the operator with many bridges: requests to the API server, processor
// time and memory.
//
// It starts a real API server with etcd, and the operator as a process of its own, with only the
// rights of config/rbac. kwok plays the nodes: it makes pods ready, and ends pods that are deleted.
// No other part of a cluster runs. The command plays the Deployment controller and the runners: it
// gives each Deployment one pod, and reports that the bridge forwards when the pod is ready. The
// requests of the operator are counted from the audit log of the API server.
//
//	make scale N=1000
//	go run ./hack/scale -n 10000 -steady 5m
//
// docs/scale.md explains the phases and has the figures of a run with 10,000 bridges. The command
// needs Linux, because it reads the memory and the processor time of the operator from /proc.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the values of the flags.
type options struct {
	bridges    int
	namespaces int
	steady     time.Duration
	memory     int64
	operator   string
}

func main() {
	var o options
	flag.IntVar(&o.bridges, "n", 1000, "`number` of bridges")
	flag.IntVar(&o.namespaces, "namespaces", 1, "`number` of namespaces that the bridges are divided among")
	flag.DurationVar(&o.steady, "steady", 2*time.Minute, "`duration` of the phase without changes")
	flag.Int64Var(&o.memory, "memory", 256<<20, "value of the operator's flag --memory-limit, in `bytes`")
	flag.StringVar(&o.operator, "operator", "", "the operator `program` to measure; without it, the command builds one")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	results, err := measure(ctx, o, func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
	})
	stop()
	fmt.Print(render(results))
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}
