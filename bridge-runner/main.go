// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bridge-runner runs MQTT bridges from their MQTTBridge manifests: in a pod, in a
// container or at an edge without Kubernetes. With --bridge it runs one bridge, and with --bridges
// the bridges of a directory.
//
// It exits with status 0 after SIGTERM or SIGINT, when the messages in flight have been
// acknowledged or the drain timeout has passed, and, except in a pod or with --bridges, when the
// manifest has a deletionTimestamp and the work of deletionPolicy is done; with 1 if it cannot
// run, or if this work takes longer than deletionTimeoutSeconds; and with 2 if its arguments are
// invalid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// logTimeout is the longest time that the process waits at its end until its log is
// written.
const logTimeout = time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == "convert" {
		os.Exit(convertCommand(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "import" {
		os.Exit(command.RunImport(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "peer-key" {
		os.Exit(runPeerKey(os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "check" {
		os.Exit(command.RunCheck(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == "explain" {
		os.Exit(command.RunExplain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	opts, err := parseFlags(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(2)
	}
	if opts.version {
		fmt.Println(buildinfo.Line("bridge-runner"))
		return
	}
	run := runHost
	if opts.bridge != "" {
		useOneProcessor()
		run = runBridge
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err = run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bridge-runner:", err)
		os.Exit(1)
	}
}

// useOneProcessor keeps Go from waking a second processor for each message, which costs
// more than the message itself (docs/performance.md). Forwarding consists of many small
// steps, and one processor executes tens of thousands of them per second. The environment
// variable GOMAXPROCS overrides this setting. A process with many bridges uses all processors:
// the bridges work independently of each other, and together they may need more than one.
func useOneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// logStart logs that the runner starts, with its version.
func logStart(log *slog.Logger, attributes ...any) {
	module, commit := buildinfo.Version()
	log.Info("the runner starts", append([]any{"version", module, "revision", commit}, attributes...)...)
}
