// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// errStopping is why a process that stops is not ready.
var errStopping = errors.New("stopping")

// secretsOf returns the Secrets of --secrets.
func secretsOf(opts *options) config.Secrets {
	s := config.NewSecrets(opts.secrets)
	if opts.kubernetes {
		return s
	}
	return s.OfUser()
}

// runBridge runs the bridge of --bridge until the context ends, and then drains it; or until the
// bridge is deleted. Then the process ends; but in a pod, the kubelet would start it again, so it
// waits until the context ends.
func runBridge(ctx context.Context, opts options) error {
	m, err := config.Load(opts.bridge)
	if refused := (*config.RefusedError)(nil); !opts.kubernetes && errors.As(err, &refused) {
		return fmt.Errorf("%w; \"bridge-runner check -f %s\" shows the line of each error", err, opts.bridge)
	}
	if err != nil {
		return err
	}
	registry := report.NewRegistry()
	log, control := report.NewLog(os.Stderr)
	settings := config.ResolveLog(m.Spec.Runner)
	control.Set(settings.Level, settings.JSON)
	defer report.FlushAsync(log, logTimeout)
	traces := newTraces(registry, log)
	defer traces.Shutdown(tracing.ShutdownTimeout)
	membership, err := newMembership(&opts, m.Namespace, registry, log)
	if err != nil {
		return err
	}
	i, err := newInstance(m, setup{
		secrets: secretsOf(&opts), data: opts.data,
		delayReads: opts.delayReads, kubernetes: opts.kubernetes, metrics: report.NewMetrics(),
		seat:   membership.members().add(m.Namespace + "/" + m.Name),
		traces: traces.Bridge(m.Namespace, m.Name),
		log:    log, logControl: control,
	})
	if err != nil {
		return err
	}
	stopServers, err := serve(opts, endpointsOf(ctx, i, registry, membership.members()), i.log)
	if err != nil {
		return err
	}
	defer stopServers()

	updates := config.NewUpdates(m, os.Getenv(manifest.EnvTemplateHash), i.log, i)
	var laterTerm func(int64)
	if opts.group.set() {
		laterTerm = membership.members().reportTo(i.state)
	}
	if opts.kubernetes {
		finish, err := useCluster(ctx, m, i.state, laterTerm, updates, i.log)
		if err != nil {
			return err
		}
		defer finish()
	}
	go config.Watch(ctx, opts.bridge, updates.File)
	logStart(i.log, "bridge", m.Name, "namespace", m.Namespace, "listen", opts.listen)
	forwarding := membership.start(ctx)
	membership.members().allAdded()
	defer supervise(ctx, i.checkAlive, i.summary, i.log)()
	deleted, err := i.run(forwarding)
	if deleted && opts.kubernetes {
		<-ctx.Done()
	}
	return errors.Join(err, membership.wait())
}

// newTraces returns the tracing of the process, which is off until a bridge uses it.
func newTraces(registry *report.Registry, log *slog.Logger) *tracing.Process {
	p := tracing.NewProcess(log)
	registry.AddSpans(&p.Exported, map[string]*atomic.Uint64{"too_many_open": &p.TooManyOpen, "queue_full": &p.QueueFull, "export_failed": &p.ExportFailed})
	return p
}

// oneStatus is the answer to /status of a process that runs one bridge.
type oneStatus struct {
	v1alpha1.MQTTBridgeStatus
	// Member is nil if the process is no member of a group.
	Member *member.Status `json:"member,omitempty"`
}

// memberStatus returns the function that answers /member, nil if the process is no member of a group.
func memberStatus(g *group) func() any {
	if g == nil {
		return nil
	}
	return func() any { return g.status() }
}

// endpointsOf returns the endpoints of a process that runs one bridge until the context ends.
func endpointsOf(ctx context.Context, i *instance, registry *report.Registry, g *group) *report.Endpoints {
	registry.Add(i.metrics)
	return &report.Endpoints{
		Metrics: registry,
		Page:    onePage(i, g).Register,
		Status:  func() any { return oneStatus{i.state.Status(), g.status()} },
		Member:  memberStatus(g),
		Alive:   i.checkAlive,
		Ready: func() error {
			if ctx.Err() != nil {
				return errStopping
			}
			return g.ready()
		},
	}
}
