// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// DialPod opens a connection to a port of a ready pod that matches the selector. It uses the port
// forwarding of the API server, so that it works on any cluster.
func (c *Cluster) DialPod(ctx context.Context, namespace, selector string, port int) (net.Conn, error) {
	pod, err := c.readyPod(ctx, namespace, selector)
	if err != nil {
		return nil, err
	}
	return c.forward(namespace, pod.Name, port)
}

// DialPodAddress is like DialPod, but connects to the address of the pod. The connection needs no
// kubelet. This machine must reach the pods, as it does on the local cluster.
func (c *Cluster) DialPodAddress(ctx context.Context, namespace, selector string, port int) (net.Conn, error) {
	pod, err := c.readyPod(ctx, namespace, selector)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port)))
}

func (c *Cluster) readyPod(ctx context.Context, namespace, selector string) (*corev1.Pod, error) {
	pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		if ready(&pods.Items[i]) {
			return &pods.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no pod in namespace %s with label %s is ready", namespace, selector)
}

func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *Cluster) forward(namespace, pod string, port int) (net.Conn, error) {
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return nil, err
	}
	url := c.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	stream, err := openStreams(connection, port)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return &forwarded{Stream: stream, connection: connection}, nil
}

// openStreams opens the two streams of a forwarded port: one for errors and one for data. The error
// stream is not read, because the data stream ends after an error.
func openStreams(connection httpstream.Connection, port int) (httpstream.Stream, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	if err := failures.Close(); err != nil { // closes only this end of the stream
		return nil, err
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	return connection.CreateStream(headers)
}

// forwarded is the connection to a forwarded port. It ignores deadlines.
type forwarded struct {
	httpstream.Stream
	connection httpstream.Connection
}

// Close ends the connection in both directions.
func (f *forwarded) Close() error {
	return errors.Join(f.Reset(), f.connection.Close())
}

// LocalAddr returns an empty address, because the connection has none.
func (f *forwarded) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr returns an empty address, because the connection has none.
func (f *forwarded) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline does nothing.
func (f *forwarded) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (f *forwarded) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }
