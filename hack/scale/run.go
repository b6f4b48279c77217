// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// result is the result of one phase.
type result struct {
	phase string
	// bridges is the number of bridges that change in the phase.
	bridges  int
	duration time.Duration
	// reaction is the time until the operator has acted on a change, in the phase that measures it.
	reaction time.Duration
	requests requests
	passes   int
	usage    usage // with the processor time of the phase
	note     string
}

// run is a measurement.
type run struct {
	options
	cluster  *cluster
	watched  *watcher
	runners  *runners
	kwok     *process
	operator *operator
	dir      string
	logf     func(string, ...any)

	start   time.Time
	before  usage
	passed  float64
	results []result
}

// measure runs all phases. It returns the results so far also with an error.
func measure(ctx context.Context, o options, logf func(string, ...any)) ([]result, error) {
	ctrl.SetLogger(klog.Background())
	dir, err := os.MkdirTemp("", "scale-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // temporary files
	if o.operator == "" {
		logf("building the operator")
		if o.operator, err = buildOperator(ctx, dir); err != nil {
			return nil, err
		}
	}
	logf("starting the API server")
	c, err := startCluster(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.env.Stop() }() // the machine is left clean in any case
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the API server stops, which would wait for open watches
	logf("starting kwok")
	kwok, err := c.startKwok(ctx, dir, o.bridges)
	if err != nil {
		return nil, err
	}
	defer kwok.stop()
	r := &run{options: o, cluster: c, kwok: kwok, dir: dir, logf: logf}
	if r.watched, err = newWatcher(c.admin); err != nil {
		return nil, err
	}
	r.runners = newRunners(c.client, r.watched, o.namespaces)
	if err := r.watched.run(ctx, r.runners.queue.Add); err != nil {
		return nil, err
	}
	r.runners.run(ctx)
	for n := range o.namespaces {
		namespace, _ := bridgeName(n, o.namespaces)
		if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			return nil, err
		}
	}
	err = r.phases(ctx)
	if r.operator != nil {
		r.operator.stop()
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, r.logTail("operator.log"))
	}
	return r.results, err
}

// startOperator starts a process of the operator, and measures it from now on.
func (r *run) startOperator(image string) (err error) {
	r.operator, err = r.cluster.startOperator(r.options.operator, r.dir, image, r.memory)
	r.passed = 0
	return err
}

// phase measures one phase: do returns when the phase has ended.
func (r *run) phase(ctx context.Context, name string, bridges int, do func(*result) error) error {
	r.logf("%s", name)
	var err error
	if r.operator != nil {
		if r.before, err = r.operator.usage(); err != nil {
			return err
		}
	}
	process := r.operator
	r.start = time.Now()
	out := result{phase: name, bridges: bridges}
	if err := do(&out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if out.duration == 0 {
		out.duration = time.Since(r.start)
	}
	if err := r.awaitIdle(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if r.operator != process {
		r.before = usage{} // a new process
	}
	if out.usage, err = r.operator.usage(); err != nil {
		return err
	}
	out.usage.cpu -= r.before.cpu
	w, err := r.operator.work(ctx)
	if err != nil {
		return err
	}
	out.passes, r.passed = int(w.passes-r.passed), w.passes
	if out.requests, err = r.cluster.audit.next(); err != nil {
		return err
	}
	r.results = append(r.results, out)
	r.logf("%s: %s, %v", name, out.duration.Round(time.Millisecond), out.requests)
	return nil
}

// awaitIdle waits until the operator has had nothing to do for a while.
func (r *run) awaitIdle(ctx context.Context) error {
	const quiet = 1500 * time.Millisecond
	last, since := -1.0, time.Now()
	return await(ctx, func() (bool, error) {
		w, err := r.operator.work(ctx)
		if err != nil {
			select {
			case <-r.operator.done:
				return false, err
			default:
				return false, nil // it starts
			}
		}
		if w.passes != last || w.queued > 0 {
			last, since = w.passes, time.Now()
		}
		return time.Since(since) > quiet, nil
	})
}

// awaitBridges waits until a number of bridges is in a state.
func (r *run) awaitBridges(ctx context.Context, n int, accept func(client.ObjectKey, state) bool) error {
	logged := time.Now()
	return await(ctx, func() (bool, error) {
		got := r.watched.count(accept)
		if time.Since(logged) > 20*time.Second {
			logged = time.Now()
			r.runners.mu.Lock()
			r.logf("  %d of %d (last error of the runners: %v)", got, n, r.runners.err)
			r.runners.mu.Unlock()
		}
		select {
		case <-r.operator.done:
			return false, fmt.Errorf("the operator has ended: %s", r.operator.cmd.ProcessState)
		case <-r.kwok.done:
			return false, fmt.Errorf("kwok has ended: %s\n%s", r.kwok.cmd.ProcessState, r.logTail("kwok.log"))
		default:
			return got >= n, nil
		}
	})
}

// logTail returns the end of a log.
func (r *run) logTail(name string) string {
	const shown = 3000
	log, _ := os.ReadFile(filepath.Join(r.dir, name)) // an error leaves the tail empty
	return string(log[max(0, len(log)-shown):])
}
