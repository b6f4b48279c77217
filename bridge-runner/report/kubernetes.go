// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// reportInterval is the shortest time between two reports when the state changes
	// often; one report contains all changes within it. After a time without changes the
	// first reportBurst reports are sent at once: a failover has two, for the loss of a
	// server and for the connection to the next one.
	reportInterval = time.Second
	reportBurst    = 2
	// reportTimeout is the longest time for one request.
	reportTimeout = 10 * time.Second
	// retryMax is the longest pause between two attempts if the API server does not answer
	// or refuses the report.
	retryMax = 30 * time.Second
)

// Kubernetes reports the state of a runner in the status of its MQTTBridge, by server-side
// apply. It reports the sides together with the condition Ready, which follows from them, so
// the two never contradict each other.
type Kubernetes struct {
	client *http.Client
	url    string
	name   string
	ns     string
	log    *slog.Logger
}

// NewKubernetes returns a reporter for a bridge in a cluster.
func NewKubernetes(cluster *rest.Config, bridge *v1alpha1.MQTTBridge, log *slog.Logger) (*Kubernetes, error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	path, err := url.JoinPath(cluster.Host, "apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
		"namespaces", bridge.Namespace, "mqttbridges", bridge.Name, "status")
	if err != nil {
		return nil, fmt.Errorf("making the URL of the API server: %w", err)
	}
	return &Kubernetes{
		client: client,
		url:    path + "?fieldManager=" + v1alpha1.RunnerFieldManager + "&force=true",
		name:   bridge.Name,
		ns:     bridge.Namespace,
		log:    log,
	}, nil
}

// Run reports each change until the context ends.
func (k *Kubernetes) Run(ctx context.Context, st *State) {
	limit := rate.NewLimiter(rate.Every(reportInterval), reportBurst)
	pause := reportInterval
	for {
		select {
		case <-st.Changed():
		case <-ctx.Done():
			return
		}
		if limit.Wait(ctx) != nil {
			return // the context has ended
		}
		err := k.report(ctx, st.Status())
		switch {
		case err == nil:
			pause = reportInterval
		case ctx.Err() != nil:
			return
		default:
			k.log.Warn("the status of the bridge cannot be reported; the bridge continues to forward, and the report is repeated", "bridge", k.name, "namespace", k.ns, "error", err)
			st.signalChange() // the report is still to be made
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, retryMax)
		}
	}
}

// report applies the status.
func (k *Kubernetes) report(ctx context.Context, status v1alpha1.MQTTBridgeStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       "MQTTBridge",
		"metadata":   map[string]string{"name": k.name, "namespace": k.ns},
		"status":     status,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, k.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml")
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("reporting the status: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("the API server answers %s: %s", resp.Status, text)
	}
	_, err = io.Copy(io.Discard, resp.Body) // reads the body to its end, so that the connection is reused
	return err
}
