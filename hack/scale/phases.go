// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	firstImage  = "registry.example/runner:v1"
	secondImage = "registry.example/runner:v2"

	// writers is the number of objects that the command writes at the same time.
	writers = 16
)

// phases runs all phases in their order.
func (r *run) phases(ctx context.Context) error {
	if err := r.startOperator(firstImage); err != nil {
		return err
	}
	if err := r.awaitIdle(ctx); err != nil {
		return err
	}
	for _, phase := range []func(context.Context) error{
		r.create, r.startPods, r.oneMore, r.steadyState, r.change, r.burst, r.restart, r.takeOver, r.upgrade,
	} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// each calls do for the numbers from 0 to n-1, several at the same time, and returns the first
// error.
func each(n int, do func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	numbers := make(chan int)
	for range writers {
		wg.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	return first
}

func settled(_ client.ObjectKey, s state) bool { return s.settled }

// create creates the bridges. No pod starts yet.
func (r *run) create(ctx context.Context) error {
	r.runners.pause()
	defer r.runners.resume()
	return r.phase(ctx, "create", r.bridges, func(out *result) error {
		err := each(r.bridges, func(i int) error { return r.cluster.client.Create(ctx, newBridge(i, r.namespaces)) })
		if err != nil {
			return err
		}
		out.note = fmt.Sprintf("the bridges are written in %s", time.Since(r.start).Round(100*time.Millisecond))
		return r.awaitBridges(ctx, r.bridges, func(_ client.ObjectKey, s state) bool { return s.observed })
	})
}

// startPods gives each bridge a pod that reports.
func (r *run) startPods(ctx context.Context) error {
	return r.phase(ctx, "start of the pods", r.bridges, func(*result) error {
		return r.awaitBridges(ctx, r.bridges, settled)
	})
}

// oneMore creates one more bridge.
func (r *run) oneMore(ctx context.Context) error {
	return r.phase(ctx, "one more", 1, func(*result) error {
		if err := r.cluster.client.Create(ctx, newBridge(r.bridges, r.namespaces)); err != nil {
			return err
		}
		r.bridges++
		return r.awaitBridges(ctx, r.bridges, settled)
	})
}

// steadyState changes nothing.
func (r *run) steadyState(ctx context.Context) error {
	return r.phase(ctx, "steady state", 0, func(*result) error {
		select {
		case <-time.After(r.steady):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// change removes a rule of each bridge. The running pods apply this.
func (r *run) change(ctx context.Context) error {
	changed := func(_ client.ObjectKey, s state) bool { return s.observed && s.generation == 2 }
	return r.phase(ctx, "change", r.bridges, func(out *result) error {
		err := each(r.bridges, func(i int) error {
			return r.cluster.client.Patch(ctx, newBridge(i, r.namespaces), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"remoteToLocal":null}}`)))
		})
		if err != nil {
			return err
		}
		if err := r.awaitBridges(ctx, r.bridges, changed); err != nil {
			return err
		}
		out.note = fmt.Sprintf("the manifests are written in %s", time.Since(r.start).Round(100*time.Millisecond))
		r.runners.changes.Add(1)
		err = each(r.bridges, func(i int) error {
			namespace, name := bridgeName(i, r.namespaces)
			return r.runners.report(ctx, client.ObjectKey{Namespace: namespace, Name: name + "-bridge"}, 0)
		})
		if err != nil {
			return err
		}
		return r.awaitBridges(ctx, r.bridges, func(key client.ObjectKey, s state) bool { return changed(key, s) && s.settled })
	})
}

// burst loses hub A: all bridges that use it report their failover.
func (r *run) burst(ctx context.Context) error {
	var affected []client.ObjectKey
	for i := range r.bridges {
		if usesHubA(i) {
			namespace, name := bridgeName(i, r.namespaces)
			affected = append(affected, client.ObjectKey{Namespace: namespace, Name: name + "-bridge"})
		}
	}
	return r.phase(ctx, "burst", len(affected), func(out *result) error {
		if err := each(len(affected), func(i int) error { return r.runners.report(ctx, affected[i], 1) }); err != nil {
			return err
		}
		reports := time.Since(r.start)
		if err := r.awaitBridges(ctx, len(affected), func(_ client.ObjectKey, s state) bool { return s.onBackup }); err != nil {
			return err
		}
		out.note = fmt.Sprintf("the reports are written in %s", reports.Round(10*time.Millisecond))
		return nil
	})
}

// checked waits until the current process of the operator has made a pass over each bridge.
func (r *run) checked(ctx context.Context) error {
	return await(ctx, func() (bool, error) {
		w, err := r.operator.work(ctx)
		return err == nil && w.passes >= float64(r.bridges) && w.queued == 0, nil
	})
}

// restart replaces the process of the operator.
func (r *run) restart(ctx context.Context) error {
	return r.phase(ctx, "restart", r.bridges, func(*result) error {
		r.operator.stop()
		r.start = time.Now()
		if err := r.startOperator(firstImage); err != nil {
			return err
		}
		return r.checked(ctx)
	})
}

// takeOver stops the leader while a second replica runs. It also measures after what time the
// second replica restores a child that is deleted at this moment: changes do not wait until all
// bridges have been checked.
func (r *run) takeOver(ctx context.Context) error {
	old := r.operator
	return r.phase(ctx, "taking the lead", r.bridges, func(out *result) error {
		if err := r.startOperator(firstImage); err != nil {
			return err
		}
		if err := r.awaitWarm(ctx); err != nil {
			return err
		}
		old.stop()
		r.start = time.Now()
		if err := r.restoresChild(ctx); err != nil {
			return err
		}
		out.reaction = time.Since(r.start)
		out.note = fmt.Sprintf("a deleted ServiceAccount is back after %s", out.reaction.Round(10*time.Millisecond))
		return r.checked(ctx)
	})
}

// restoresChild deletes the ServiceAccount of a bridge, and waits until the operator has created
// it again.
func (r *run) restoresChild(ctx context.Context) error {
	namespace, name := bridgeName(0, r.namespaces)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-bridge"}}
	if err := r.cluster.client.Delete(ctx, account); err != nil {
		return err
	}
	return await(ctx, func() (bool, error) {
		err := r.cluster.client.Get(ctx, client.ObjectKeyFromObject(account), account)
		return err == nil, client.IgnoreNotFound(err)
	})
}

// awaitWarm waits until the second replica has read and planned all bridges: until it needs almost
// no processor time for longer than the interval at which it plans.
func (r *run) awaitWarm(ctx context.Context) error {
	const (
		quiet    = 7 * time.Second
		idleTime = 300 * time.Millisecond
	)
	var used time.Duration
	since := time.Now()
	return await(ctx, func() (bool, error) {
		u, err := r.operator.usage()
		if err != nil {
			return false, err
		}
		if u.cpu-used > idleTime {
			used, since = u.cpu, time.Now()
		}
		return time.Since(since) > quiet, nil
	})
}

// upgrade replaces the operator by one with another image for runners, so that all pods are
// replaced.
func (r *run) upgrade(ctx context.Context) error {
	return r.phase(ctx, "upgrade", r.bridges, func(*result) error {
		r.operator.stop()
		r.start = time.Now()
		old := map[client.ObjectKey]string{}
		r.watched.mu.Lock()
		for key, s := range r.watched.bridges {
			old[key] = s.pod
		}
		r.watched.mu.Unlock()
		if err := r.startOperator(secondImage); err != nil {
			return err
		}
		return r.awaitBridges(ctx, r.bridges, func(key client.ObjectKey, s state) bool {
			return s.settled && s.pod != old[key]
		})
	})
}
