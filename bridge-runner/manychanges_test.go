// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// manyChanges is an instance between two brokers, whose manifest changes often.
type manyChanges struct {
	*instance
	t             *testing.T
	local, remote string
}

// version returns a manifest that differs from the others in its rule and its backup. Nothing listens
// at the backup.
func (c *manyChanges) version(n int) *config.Manifest {
	m := manifestOf("test", "many", c.remote, "")
	m.Generation = int64(n)
	m.Spec.Local.Primary.URL = c.local
	m.Spec.Remote.Backups = []v1alpha1.Server{{Name: fmt.Sprint("backup-", n), URL: fmt.Sprintf("mqtt://backup-%d.invalid", n)}}
	m.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: fmt.Sprintf("f/%d", n)}}
	if n%100 == 0 {
		m.Spec.Local.KeepAliveSeconds = ptr.To(int32(100 + n/100)) // the side reconnects
	}
	m.MQTTBridge = m.WithDefaults()
	return m
}

// await waits until a generation is in effect and both sides are connected.
func (c *manyChanges) await(n int) {
	c.t.Helper()
	mqtttest.Eventually(c.t, 30*time.Second, fmt.Sprint("generation ", n, " is in effect"), func() error {
		s := c.state.Status()
		if s.Runners[0].Generation != int64(n) || s.Local.Active == nil || s.Remote.Active == nil {
			return fmt.Errorf("generation %d, local %+v, remote %+v", s.Runners[0].Generation, s.Local.Active, s.Remote.Active)
		}
		return nil
	})
}

// series returns the number of series of the bridge.
func (c *manyChanges) series() (n int) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c.metrics)
	families, err := registry.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

func TestInstance_ManyChanges_LeaveNothingBehind(t *testing.T) {
	broker := func(name string) string {
		return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name}).URL()
	}
	c := &manyChanges{t: t, local: broker("local"), remote: broker("remote")}
	i, err := newInstance(c.version(1), setup{secrets: config.NewSecrets(t.TempDir()), metrics: report.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	c.instance = i
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = i.run(ctx) // it ends with the test
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	c.await(1)
	goroutines, series := runtime.NumGoroutine(), c.series()
	const changes = 2000
	for n := 2; n <= changes; n++ {
		if err := i.Apply(c.version(n), true); err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 {
			c.await(n)
		}
	}
	c.await(changes)
	mqtttest.Eventually(t, 10*time.Second, "nothing is left", func() error {
		var errs []error
		if n := runtime.NumGoroutine(); n > goroutines+5 {
			errs = append(errs, fmt.Errorf("%d goroutines, before: %d", n, goroutines))
		}
		if n := c.series(); n > series+5 {
			errs = append(errs, fmt.Errorf("%d series, before: %d", n, series))
		}
		return errors.Join(errs...)
	})
}
