// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bridge-runner runs one MQTT bridge from its MQTTBridge manifest: in a
// pod, in a container or at an edge without Kubernetes.
//
// It exits with status 0 after SIGTERM or SIGINT, when the messages in flight have been
// acknowledged or the drain timeout has passed, and, except in a pod, when the manifest has a
// deletionTimestamp and the work of deletionPolicy is done; with 1 if it cannot run, or if this
// work takes longer than deletionTimeoutSeconds; and with 2 if its arguments are invalid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/configmap"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
)

// logTimeout is the longest time that the process waits at its end until its log is
// written.
const logTimeout = time.Second

type options struct {
	bridge, secrets, data string
	// metricsListen is empty if the address of listen serves the metrics and the status, too.
	listen, metricsListen string
	delayReads            bool
	kubernetes, version   bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "convert" {
		convertAndExit(os.Args[2:])
	}
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

// convertAndExit runs the command convert.
func convertAndExit(args []string) {
	flags := flag.NewFlagSet("convert", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	namespace := flags.String("namespace", "", "")
	flags.Usage = func() { _, _ = fmt.Fprint(os.Stderr, convertUsage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	} else if err != nil {
		os.Exit(2)
	}
	if err := runConvert(flags.Args(), *namespace, os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bridge-runner convert:", err)
		os.Exit(1)
	}
	os.Exit(0)
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
	flags.StringVar(&o.secrets, "secrets", "", "the `directory` with the values that the manifest refers to; the file <name>/<key> holds the key of a Secret, configMaps/<name>/<key> the key of a ConfigMap, and clusterTrustBundles/<name>/ca.crt a ClusterTrustBundle")
	flags.StringVar(&o.data, "data", "", "the `directory` for the buffer on disk; required if the manifest sets spec.buffer.disk")
	flags.StringVar(&o.listen, "listen", ":8080", "the `address` (host:port) on which the runner serves /livez and /readyz, and without --metrics-listen also /metrics and /status")
	flags.StringVar(&o.metricsListen, "metrics-listen", "", "the `address` (host:port) on which the runner serves /metrics and /status; default: the address of --listen")
	flags.BoolVar(&o.delayReads, "delay-reads", true, "wait 0.3 ms for more data before a read if many QoS 0 messages arrive one by one; false saves this time and needs more processor time (docs/performance.md)")
	flags.BoolVar(&o.kubernetes, "kubernetes", false, "report the status to the MQTTBridge resource in this cluster, and watch the ConfigMap with the manifest; the environment variables POD_NAME and NODE_NAME hold the names of the pod and of its node")
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
	state := report.NewState(bridge, report.Runner(), metrics)
	b, err := newBridge(settings, config.NewSecrets(opts.secrets), opts.data, opts.delayReads, state, metrics, log)
	if err != nil {
		return err
	}

	stopServers, err := serve(ctx, opts, state, metrics, b.alive.check, log)
	if err != nil {
		return err
	}
	defer stopServers()

	b.requestSwitches(bridge)
	deletion := newDeletion(b, bridge, state, log)
	deletion.update(bridge)
	updates := config.NewUpdates(bridge, log, func(next *v1alpha1.MQTTBridge, same bool) {
		b.requestSwitches(next)
		deletion.update(next)
		if same {
			state.SetGeneration(next.Generation)
		}
	})
	if opts.kubernetes {
		finish, err := useCluster(ctx, bridge, state, updates, log)
		if err != nil {
			return err
		}
		defer finish()
	}
	defer context.AfterFunc(ctx, state.Stopping)()
	go config.Watch(ctx, opts.bridge, log, updates.File)
	module, commit := buildinfo.Version()
	log.Info("the runner starts", "version", module, "revision", commit, "bridge", bridge.Name, "namespace", bridge.Namespace, "listen", opts.listen)
	return runUntilDeleted(ctx, deletion, opts.kubernetes)
}

// runUntilDeleted runs the bridge until the context ends. If the bridge is being deleted, it does
// the work of the deletion policy. Then the process ends; but in a pod, the kubelet would start
// it again, so it waits until the context ends. deletionTimeoutSeconds bounds the work; with
// Kubernetes, the operator applies it.
func runUntilDeleted(ctx context.Context, d *deletion, kubernetes bool) error {
	work := ctx
	if !kubernetes {
		var cancel context.CancelFunc
		work, cancel = d.withTimeout(ctx)
		defer cancel()
	}
	complete := d.run(work)
	switch {
	case errors.Is(context.Cause(work), errIncomplete) && !complete:
		return d.incomplete()
	case complete && kubernetes:
		<-ctx.Done()
	}
	return nil
}

// useCluster reports the state to the API server, and watches the ConfigMap with the manifest
// there. The caller calls finish when the bridge has drained.
func useCluster(ctx context.Context, bridge *v1alpha1.MQTTBridge, state *report.State, updates *config.Updates, log *slog.Logger) (finish func(), err error) {
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("--kubernetes is set, but the process does not run in a pod of a cluster; remove the flag or run it in a pod: %w", err)
	}
	k, err := report.NewKubernetes(cluster, bridge, log)
	if err != nil {
		return nil, err
	}
	manifests, err := configmap.New(cluster, bridge.Namespace, v1alpha1.ChildName(bridge.Name), v1alpha1.ManifestKey, log)
	if err != nil {
		return nil, err
	}
	go manifests.Run(ctx, updates.ConfigMap)
	return startReports(ctx, k, state), nil
}

// startReports starts the reports to Kubernetes. They continue until the bridge has drained,
// when the caller calls the returned function. It reports that the runner has stopped, so
// that the status does not show connections that no longer exist.
func startReports(ctx context.Context, k *report.Kubernetes, state *report.State) (finish func()) {
	reporting, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.Run(reporting, state)
	}()
	return func() { //nolint:contextcheck // ctx has ended when it is called
		stop()
		<-done
		state.Stopped()
		k.Last(state)
	}
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
