// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// setup is the part of an instance that the process gives to it, and that no manifest changes.
type setup struct {
	secrets config.Secrets
	// data is the directory for buffers on disk. It is empty if there is none.
	data string
	// delayReads allows delays, see transport.Config.
	delayReads bool
	// kubernetes is true if the operator ends a deletion that takes too long.
	kubernetes bool
	metrics    *report.Metrics
	// pacer limits the connections that all bridges of the process open at the same time. It is nil if
	// there is one bridge.
	pacer *connector.Pacer
	// seat is the place of the bridge in the group of the process. It is nil if there is no group.
	seat *seat
	// traces makes the spans of the bridge. It is nil if the process makes none.
	traces *tracing.Bridge
	// log is the log of the process, and logControl its control, if the process runs one bridge. Otherwise
	// they are nil, and each bridge has a log with these attributes in each line.
	log        *slog.Logger
	logControl *report.LogControl
	attributes []any
}

// version is a manifest, and the settings that it resolves to.
type version struct {
	manifest *config.Manifest
	settings *config.Settings
}

// resolve returns the version of a manifest, or an error if this process cannot run it.
func (s *setup) resolve(m *config.Manifest) (*version, error) {
	settings, err := config.Resolve(&m.Spec)
	if err != nil {
		return nil, err
	}
	if settings.Disk.Bytes > 0 && s.data == "" {
		return nil, errors.New("spec.buffer.disk is set, but the runner has no directory for the buffer; set --data to a directory, or remove spec.buffer.disk")
	}
	if settings.Disk.Bytes > 0 && s.seat != nil {
		return nil, errors.New("spec.buffer.disk is set, and the runner is one of two (--peer or --group): the messages on the disk of a lost runner would be missing; remove spec.buffer.disk, so that the servers keep the messages of QoS 1 and 2 in the session of the bridge, or run one runner")
	}
	return &version{m, settings}, nil
}

// instance is one bridge in a process. It applies changed manifests. If the bridge cannot apply a
// change while it runs, the instance restarts it: it drains the bridge as at the end of the process, and
// starts it with the new settings. The state, the metrics and the log continue. Of the manifests
// that arrive during a restart, the latest one is used.
//
// Lock order: the lock of config.Updates, then mu, then the locks of the bridge.
type instance struct {
	setup
	state *report.State
	alive atomic.Pointer[liveness]
	// refused is the manifest that is reported as refused. It is nil if there is none.
	refused atomic.Pointer[v1alpha1.RefusedManifest]

	mu sync.Mutex
	// handOver is the latest request of a hand-over in a manifest. It is empty if there is none.
	handOver string
	// bridge runs the version running. deletion carries out its deletion policy.
	bridge   *bridge
	deletion *deletion
	running  *version
	// requested is the latest manifest. Its requests apply, although it may be for another pod: then this pod
	// is being replaced.
	requested *config.Manifest
	// pending is the version to run after the restart that has been requested. It is nil if none
	// has been.
	pending *version
	// restart ends the bridge for a restart. It is nil before run.
	restart context.CancelCauseFunc
}

// errRestart is why a bridge ends that starts again in the same process.
var errRestart = errors.New("the bridge starts again with other settings")

// newInstance returns an instance that is ready to run, or an error if the process cannot run the
// manifest.
func newInstance(m *config.Manifest, s setup) (*instance, error) {
	v, err := s.resolve(m)
	if err != nil {
		return nil, err
	}
	i := &instance{setup: s}
	if i.log == nil {
		i.log, i.logControl = report.NewLog(os.Stderr)
		i.log = i.log.With(s.attributes...)
	}
	i.logControl.Set(v.settings.Log.Level, v.settings.Log.JSON)
	i.state = report.NewState(m.MQTTBridge, report.Runner(), s.metrics)
	i.reportIgnoredFields(m)
	i.requested = m
	i.buildLocked(v) // no other goroutine uses i yet
	return i, nil
}

// buildLocked makes the bridge of a version.
func (i *instance) buildLocked(v *version) {
	i.running, i.pending = v, nil
	before := i.bridge
	i.bridge = newBridge(v, &i.setup, i.state, i.log)
	if before != nil {
		i.bridge.know.inherit(before.know)
	}
	i.alive.Store(i.bridge.alive)
	i.deletion = newDeletion(i.bridge, v.manifest.MQTTBridge, i.state, i.log)
	i.requestLocked(i.requested)
}

// requestLocked applies the parts of a manifest that request something from the running bridge.
func (i *instance) requestLocked(m *config.Manifest) {
	i.bridge.requestSwitches(m.MQTTBridge)
	i.deletion.update(m.MQTTBridge)
	i.requestHandOverLocked(m.Annotations[manifest.AnnotationHandOver])
}

// Apply implements config.Target.
func (i *instance) Apply(next *config.Manifest, ofPod bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !ofPod {
		i.requested = next
		i.requestLocked(next)
		return nil
	}
	v, err := i.resolve(next)
	if err != nil {
		return err
	}
	i.requested = next
	i.reportIgnoredFields(next)
	i.logControl.Set(v.settings.Log.Level, v.settings.Log.JSON)
	if i.pending == nil && i.updateLocked(v) {
		return nil
	}
	i.pending = v
	if i.restart != nil {
		i.restart(errRestart)
	}
	return nil
}

// updateLocked applies a version to the running bridge. It returns false if the bridge must be
// restarted instead: then it has changed nothing.
func (i *instance) updateLocked(next *version) bool {
	switch {
	case config.SameSettings(&i.running.manifest.Spec, &next.manifest.Spec):
		i.bridge.progress.advance(next.manifest.Generation)
		if i.standby() { // no side of a standby reports that the settings are in effect
			i.state.SetGeneration(next.manifest.Generation)
		}
	case i.deletion.requested.isSet(), i.standby(), needsRestart(i.running.settings, next.settings):
		return false
	default:
		i.bridge.update(next)
	}
	i.running = next
	i.deletion.retarget(next.manifest.MQTTBridge)
	i.requestLocked(next.manifest)
	return true
}

// standby reports whether another process of the group may be active.
func (i *instance) standby() bool { return i.seat != nil && !i.seat.active() }

// SetRefused implements config.Target.
func (i *instance) SetRefused(r *v1alpha1.RefusedManifest) {
	i.refused.Store(r)
	i.state.SetRefused(r)
}

// run runs the bridge until the context ends, and then drains it. If the bridge is being deleted,
// it does the work of the deletion policy, and returns true when this is complete. Without
// Kubernetes, deletionTimeoutSeconds bounds the work; run then returns an error that names the
// remaining work. A restart begins this time again.
func (i *instance) run(ctx context.Context) (deleted bool, err error) {
	defer context.AfterFunc(ctx, i.state.Stopping)()
	for {
		d, work, cancel := i.begin(ctx)
		complete, cause := i.runActive(work, d)
		cancel()
		switch {
		case complete:
			return true, nil
		case errors.Is(cause, errIncomplete):
			return false, d.incomplete()
		case ctx.Err() != nil:
			return false, nil
		}
		i.rebuild()
	}
}

// begin returns the deletion that runs the bridge, and the context in which it runs. The context
// also ends for a restart.
func (i *instance) begin(ctx context.Context) (*deletion, context.Context, context.CancelFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	work, restart := context.WithCancelCause(ctx)
	i.restart = restart
	if i.pending != nil { // it arrived before the bridge could run
		restart(errRestart)
	}
	return i.deletion, work, func() { restart(nil) }
}

// runBounded runs the bridge until work ends or the bridge is deleted, and returns why it has ended
// before. Without Kubernetes, deletionTimeoutSeconds bounds the work.
func (i *instance) runBounded(work context.Context, d *deletion) (complete bool, cause error) {
	if !i.kubernetes {
		bounded, stop := d.withTimeout(work)
		defer stop()
		work = bounded
	}
	complete = d.run(work)
	return complete, context.Cause(work)
}

// rebuild makes the bridge of the pending version, or of the running one if there is none, when the
// previous bridge has ended.
func (i *instance) rebuild() {
	i.mu.Lock()
	defer i.mu.Unlock()
	next := i.pending
	if next == nil { // the activation has ended
		next = i.running
	} else {
		i.log.Info("the bridge starts again with the changed manifest", "generation", next.manifest.Generation)
		i.seat.begin()
	}
	i.state.Restart(next.manifest.MQTTBridge, i.metrics)
	i.buildLocked(next)
}

// checkAlive returns an error if a part of the bridge makes no progress.
func (i *instance) checkAlive() error { return i.alive.Load().check() }

// reportIgnoredFields logs and counts the fields of the manifest that this version of the
// runner does not know.
func (i *instance) reportIgnoredFields(m *config.Manifest) {
	i.metrics.SetIgnoredFields(len(m.Ignored))
	if len(m.Ignored) > 0 {
		i.log.Warn("the operator is newer than this runner, which ignores fields of the manifest; to use them, set spec.runner.image to a newer image or remove it", "fields", m.Ignored)
	}
}
