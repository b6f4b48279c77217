// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
)

const (
	// maxAsked is the number of bridges of a view whose runners are asked: those with the most
	// trouble. Each answer has some tens of kilobytes, which pass through the API server.
	maxAsked = 100
	// askedAtOnce is the number of requests at the same time.
	askedAtOnce = 16
	// maxNotes is the number of runners that a note names.
	maxNotes = 3
)

// An asker asks the runners of bridges for their counters, and keeps the samples, because rates need
// two of them.
type asker struct {
	client  *cluster.Client
	off     bool
	bridges []v1alpha1.MQTTBridge

	// mu protects samples.
	mu      sync.Mutex
	samples map[string]*cluster.Sample
}

// answered reports whether a runner has answered.
func (a *asker) answered() bool { return len(a.samples) > 0 }

// ask asks the runners of a view, and adds the counters to it, or the reasons why they are not known.
func (a *asker) ask(ctx context.Context, view *fleet.View) {
	before := a.samples
	a.samples = map[string]*cluster.Sample{}
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	failures := make([]error, len(view.Bridges))
	objects := a.objects()
	asked := 0
	for i := range view.Bridges {
		b := &view.Bridges[i]
		key := b.Namespace + "/" + b.Name
		object := objects[key]
		switch {
		case a.off:
			b.Unknown = "--numbers=false is set"
			continue
		case object == nil || len(b.Runners) == 0 || b.State == fleet.Suspended:
			b.Unknown = "no runner has reported"
			continue
		case asked == maxAsked:
			b.Unknown = fmt.Sprintf("only the %d bridges with the most trouble are asked", maxAsked)
			continue
		}
		asked++
		group.Go(func() error {
			sample, err := a.client.Sample(ctx, object)
			if err != nil {
				b.Unknown, failures[i] = err.Error(), err
				return nil
			}
			b.Count(before[key], sample)
			a.mu.Lock()
			a.samples[key] = sample
			a.mu.Unlock()
			return nil
		})
	}
	_ = group.Wait() // the failures are in the view
	view.Notes = notes(view, failures, asked)
}

// objects returns the objects of the bridges by namespace and name.
func (a *asker) objects() map[string]*v1alpha1.MQTTBridge {
	out := make(map[string]*v1alpha1.MQTTBridge, len(a.bridges))
	for i := range a.bridges {
		out[a.bridges[i].Namespace+"/"+a.bridges[i].Name] = &a.bridges[i]
	}
	return out
}

// notes says which numbers are missing. A missing right is named once.
func notes(view *fleet.View, failures []error, asked int) []string {
	var out []string
	others := 0
	for i, err := range failures {
		if err == nil {
			continue
		}
		var right *cluster.MissingRight
		note := fmt.Sprintf("no rates and backlog of %s/%s: %v", view.Bridges[i].Namespace, view.Bridges[i].Name, err)
		if errors.As(err, &right) {
			note = fmt.Sprintf("no rates and backlog: %v", right)
		} else {
			others++
		}
		if others > maxNotes && right == nil {
			continue
		}
		if !slices.Contains(out, note) {
			out = append(out, note)
		}
	}
	if others > maxNotes {
		out = append(out, "no answer of "+count.Of(others-maxNotes, "more runner"))
	}
	if asked == maxAsked && len(view.Bridges) > maxAsked {
		out = append(out, fmt.Sprintf("rates and backlog of the first %d bridges; select other bridges by -l or -n", maxAsked))
	}
	return out
}
