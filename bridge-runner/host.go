// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
)

// host runs the bridges of a directory in one process, independently of each other: each has an
// instance of its own. Each file of the directory has at most one bridge, and each bridge has one
// file. A file whose content cannot be applied changes nothing: the bridge that the file had
// before runs on, and the other bridges are not affected.
//
// Only the goroutine of watch changes the files, so that it reads them without the lock. No other
// lock is taken, and no function of a bridge is called, while mu is held.
type host struct {
	opts      options
	directory *config.Directory
	registry  *report.Registry
	clientIDs clientIDs
	pacer     *connector.Pacer
	traces    *tracing.Process
	// group is nil if the process is no member of a group.
	group *group
	log   *slog.Logger

	mu sync.Mutex // guards the fields below, for readers in other goroutines
	// loaded is true when all files have been read once.
	loaded bool
	// files are the files of the directory, and owners the files whose bridges run, by bridge.
	files  map[string]*file
	owners map[types.NamespacedName]*file
	// draining has the channels that are closed when a bridge whose file was removed has ended. The
	// next bridge of the same name starts after that.
	draining map[types.NamespacedName]<-chan struct{}

	running sync.WaitGroup
}

// file is a file of the directory. The lock of the host guards its fields, except name.
type file struct {
	name string
	// bridge is the bridge of the file. It is nil if the file has had no valid content.
	bridge *hosted
	// problem is why the present content is refused, if this does not concern a bridge that runs.
	// It is nil if there is no such problem.
	problem error
	// waitsFor is the bridge that another file has, and this file, too. It is zero if there is none.
	waitsFor types.NamespacedName
}

// settleTime is how long after its start a host returns unused memory to the system, once. Reading
// the manifests and connecting leaves garbage, and idle bridges produce so little of it that the
// process would keep this memory for a long time.
const settleTime = 10 * time.Second

// runHost runs the bridges of --bridges until the context ends, and then drains all of them.
func runHost(ctx context.Context, opts options) error {
	log, control := report.NewLog(os.Stderr)
	control.Set(slog.LevelInfo, opts.logFormat == logJSON)
	defer report.FlushAsync(log, logTimeout)
	h := newHost(opts, log)
	defer h.traces.Shutdown(tracing.ShutdownTimeout)
	membership, err := newMembership(&opts, "", h.registry, log)
	if err != nil {
		return err
	}
	h.group = membership.members()
	changed, _, err := h.directory.Scan()
	if err != nil {
		return err
	}
	stopServers, err := serve(opts, h.endpoints(ctx), log)
	if err != nil {
		return err
	}
	defer stopServers()
	logStart(log, "bridges", opts.bridges, "listen", opts.listen)
	forwarding := membership.start(ctx)
	h.apply(forwarding, changed, nil)
	h.setLoaded()
	h.group.allAdded()
	defer supervise(ctx, h.checkAlive, h.summary, log)()
	settled := time.AfterFunc(settleTime, debug.FreeOSMemory)
	defer settled.Stop()
	h.watch(forwarding)
	log.Info("the runner stops; all bridges stop at the same time")
	h.running.Wait()
	return membership.wait()
}

func newHost(opts options, log *slog.Logger) *host {
	registry := report.NewRegistry()
	h := &host{
		opts: opts, directory: config.NewDirectory(opts.bridges), registry: registry, clientIDs: clientIDs{}, pacer: connector.NewPacer(), log: log,
		traces: newTraces(registry, log),
		files:  map[string]*file{}, owners: map[types.NamespacedName]*file{}, draining: map[types.NamespacedName]<-chan struct{}{},
	}
	h.registry.AddHost(h.count((*file).runs), h.count(func(f *file) bool { return f.refusal() != "" }))
	return h
}

// watch applies the changes of the directory until the context ends.
func (h *host) watch(ctx context.Context) {
	ticker := time.NewTicker(config.WatchInterval)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		changed, removed, err := h.directory.Scan()
		if err != nil && !failed {
			h.log.Error("the directory with the manifests cannot be read; the bridges continue, and the runner tries again", "error", err)
		}
		failed = err != nil
		h.apply(ctx, changed, removed)
	}
}

// apply applies changed and removed files.
func (h *host) apply(ctx context.Context, changed, removed []string) {
	for _, name := range removed {
		h.remove(name)
	}
	for _, name := range append(changed, h.released()...) {
		if ctx.Err() != nil {
			return
		}
		h.load(ctx, name)
	}
}

// load reads a file, and applies its content.
func (h *host) load(ctx context.Context, name string) {
	f := h.fileNamed(name)
	m, key, err := h.read(name)
	h.setWaitsFor(f, types.NamespacedName{})
	if err == nil {
		err = h.checkOwner(f, key)
	}
	cycle := h.cycle(f)
	switch {
	case cycle != nil:
		h.exchange(cycle)
		for _, member := range cycle {
			h.load(ctx, member.name)
		}
	case err != nil:
		h.refuse(f, err)
	case f.runs() && f.bridge.key == key:
		f.bridge.updates.File(m, nil)
		h.clientIDs.set(key, m, h.log)
	default:
		h.replace(ctx, f, m, key)
	}
}

// read reads a file, and returns the bridge that it defines.
func (h *host) read(name string) (*config.Manifest, types.NamespacedName, error) {
	m, err := h.directory.Load(name)
	if err != nil {
		return nil, types.NamespacedName{}, err
	}
	key, err := bridgeKey(m)
	return m, key, err
}

// checkOwner returns an error if another file has the bridge, which f waits for then.
func (h *host) checkOwner(f *file, key types.NamespacedName) error {
	owner := h.owners[key]
	if owner == nil || owner == f {
		return nil
	}
	h.setWaitsFor(f, key)
	return fmt.Errorf("the bridge %s is already in the file %s; set another metadata.name or metadata.namespace, or remove one of the files", key, owner.name)
}

// refuse reports that the content of a file is not applied. A bridge that the file has runs on.
func (h *host) refuse(f *file, err error) {
	if f.runs() {
		f.bridge.updates.File(nil, err)
		return
	}
	h.log.Error("the manifest is refused; correct the file", "file", f.name, "error", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	f.problem = err
}

// replace starts the bridge of a file. If the file had another bridge, it ends this bridge.
func (h *host) replace(ctx context.Context, f *file, m *config.Manifest, key types.NamespacedName) {
	s := h.setupOf(key)
	next, err := newHosted(m, key, s)
	if err != nil {
		s.seat.remove()
		h.refuse(f, err)
		return
	}
	h.end(f)
	h.mu.Lock()
	f.bridge, f.problem = next, nil
	h.owners[key] = f
	before := h.draining[key]
	delete(h.draining, key)
	h.mu.Unlock()
	h.clientIDs.set(key, m, h.log)
	h.log.Info("the bridge starts", "namespace", key.Namespace, "bridge", key.Name, "file", f.name)
	next.start(ctx, h, before)
}

// remove ends the bridge of a file that was removed. The sessions of the bridge stay on the
// servers, as at the end of the process.
func (h *host) remove(name string) {
	f := h.fileNamed(name)
	h.end(f)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files, name)
}

// end ends the bridge of a file, if there is one. It does not wait for the end.
func (h *host) end(f *file) {
	b := f.bridge
	if b == nil {
		return
	}
	if f.runs() {
		h.log.Info("the bridge ends, because its file was removed or names another bridge", "namespace", b.key.Namespace, "bridge", b.key.Name, "file", f.name)
	}
	h.clientIDs.remove(b.key)
	b.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	f.bridge = nil
	delete(h.owners, b.key)
	for key, done := range h.draining {
		if isClosed(done) {
			delete(h.draining, key)
		}
	}
	h.draining[b.key] = b.done
}

// released returns the names of the files that wait for a bridge that no file has any more.
func (h *host) released() (names []string) {
	for name, f := range h.files {
		if f.waitsFor != (types.NamespacedName{}) && h.owners[f.waitsFor] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// setupOf returns the setup of a bridge. Each namespace has Secrets of its own, and each bridge
// a directory for its buffer on disk.
func (h *host) setupOf(key types.NamespacedName) setup {
	s := setup{
		delayReads: h.opts.delayReads,
		metrics:    report.NewSparseMetrics(),
		pacer:      h.pacer,
		attributes: []any{"namespace", key.Namespace, "bridge", key.Name},
		seat:       h.group.add(key.String()),
		traces:     h.traces.Bridge(key.Namespace, key.Name),
	}
	s.secrets = config.NewSecrets(h.opts.secrets).OfNamespace(key.Namespace).OfUser()
	if h.opts.data != "" {
		s.data = filepath.Join(h.opts.data, key.Namespace, key.Name)
	}
	return s
}

func (h *host) fileNamed(name string) *file {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.files[name]
	if f == nil {
		f = &file{name: name}
		h.files[name] = f
	}
	return f
}

func (h *host) setLoaded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loaded = true
}
