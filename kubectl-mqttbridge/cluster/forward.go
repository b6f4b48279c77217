// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward forwards a port of this machine to a port of a pod until the context or the connection
// ends. local is 0 for any free port. It calls ready with the local port.
func (c *Client) Forward(ctx context.Context, namespace, pod string, local uint16, remote int32, ready func(uint16)) error {
	url := c.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return err
	}
	overSPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, c.Config)
	if err != nil {
		return err
	}
	dialer := portforward.NewFallbackDialerForStreaming(overWebSocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	isReady, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("%d:%d", local, remote)}, isReady, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return forwardError(err, namespace, pod)
	case <-isReady:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	ready(ports[0].Local)
	return forwardError(<-ended, namespace, pod)
}

// forwardError names the missing right. An attempt to upgrade a connection has only a text as its
// error.
func forwardError(err error, namespace, pod string) error {
	switch {
	case err == nil, errors.Is(err, portforward.ErrLostConnectionToPod):
		return err
	case apierrors.IsForbidden(err), strings.Contains(err.Error(), "forbidden"), strings.Contains(err.Error(), "Forbidden"):
		return &MissingRight{"create", "pods/portforward", namespace, err}
	}
	return fmt.Errorf("forwarding a port to the pod %s: %w", pod, err)
}
