// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bridge-runner runs one MQTT bridge from its MQTTBridge manifest: in a
// pod, in a container or at an edge without Kubernetes.
//
// It exits with status 0 after SIGTERM or SIGINT, when the messages in flight have been
// acknowledged or the drain timeout has passed; with 1 if it cannot run; and with 2 if its
// arguments are invalid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/httpserver"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// logTimeout is the longest time that the process waits at its end until its log is
// written.
const logTimeout = time.Second

type options struct {
	bridge, secrets, data, listen string
	delayReads                    bool
	kubernetes, version           bool
}

func main() {
	opts, err := parseFlags(os.Args[1:], os.Stderr)
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
	useOneProcessor()
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
// variable GOMAXPROCS overrides this setting.
func useOneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

func parseFlags(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bridge-runner", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.bridge, "bridge", "", "the `file` with the MQTTBridge manifest (required)")
	flags.StringVar(&o.secrets, "secrets", "", "the `directory` with the Secrets and ConfigMaps that the manifest refers to; the file <name>/<key> holds the value of a key")
	flags.StringVar(&o.data, "data", "", "the `directory` for the buffer on disk; required if the manifest sets spec.buffer.disk")
	flags.StringVar(&o.listen, "listen", ":8080", "the `address` (host:port) on which the runner serves /metrics, /status, /livez and /readyz")
	flags.BoolVar(&o.delayReads, "delay-reads", true, "wait 0.3 ms for more data before a read if many QoS 0 messages arrive one by one; false saves this time and needs more processor time (docs/performance.md)")
	flags.BoolVar(&o.kubernetes, "kubernetes", false, "report the status to the MQTTBridge resource in this cluster; the environment variable POD_NAME holds the name of the pod")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil || o.version {
		return o, err
	}
	if o.bridge == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(usage, "bridge-runner: --bridge is required, and arguments other than flags are not allowed")
		flags.Usage()
		return o, errors.New("usage")
	}
	return o, nil
}

// run runs the bridge until the context ends, and then drains it.
func run(ctx context.Context, opts options) error {
	bridge, err := config.Load(opts.bridge)
	if err != nil {
		return err
	}
	settings, err := config.Resolve(&bridge.Spec)
	if err != nil {
		return err
	}
	log := report.Async(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: settings.LogLevel})))
	defer report.FlushAsync(log, logTimeout)
	metrics := report.NewMetrics()
	reportIgnoredFields(opts.bridge, metrics, log)
	state := report.NewState(bridge, os.Getenv("POD_NAME"), metrics)
	b, err := newBridge(settings, config.NewSecrets(opts.secrets), opts.data, opts.delayReads, state, metrics, log)
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return fmt.Errorf("listening on the address of --listen: %w", err)
	}
	server := httpserver.New(report.Handler(state, metrics, b.alive.check, ctx.Done()))
	defer func() { _ = server.Close() }()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the HTTP server for metrics and health has ended; restart the runner", "error", err)
		}
	}()

	if opts.kubernetes {
		k, err := report.NewKubernetes(bridge, log)
		if err != nil {
			return err
		}
		reporting, stop := context.WithCancel(context.WithoutCancel(ctx)) // the runner reports until it has drained
		defer stop()
		go k.Run(reporting, state)
	}
	b.requestSwitches(bridge.Annotations)
	go config.Watch(ctx, opts.bridge, bridge, log, b.requestSwitches)
	module, commit := buildinfo.Version()
	log.Info("the runner starts", "version", module, "revision", commit, "bridge", bridge.Name, "namespace", bridge.Namespace, "listen", listener.Addr().String())
	b.run(ctx)
	return nil
}

// reportIgnoredFields logs and counts the fields of the manifest that this version of the
// runner does not know.
func reportIgnoredFields(path string, metrics *report.Metrics, log *slog.Logger) {
	ignored, err := config.IgnoredFields(path)
	if err != nil || len(ignored) == 0 {
		return // Load has reported the error
	}
	metrics.SetIgnoredFields(len(ignored))
	log.Warn("the operator is newer than this runner, which ignores fields of the manifest; to use them, set spec.runner.image to a newer image or remove it", "fields", ignored)
}
