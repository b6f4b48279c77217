// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// A kubelet serves the logs of pods and forwards ports to them, as the API server asks it to.
type kubelet struct {
	node string
	// host is the address of all pods.
	host string
	// mu protects logs.
	mu sync.Mutex
	// logs are by the name of the pod. Logs of ended containers have the suffix "/previous".
	logs map[string]string
}

// startKubelet starts a kubelet, and creates its node.
func startKubelet(t *testing.T, podHost string) *kubelet {
	t.Helper()
	k := &kubelet{host: podHost, logs: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.log)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.forward)
	https := httptest.NewTLSServer(mux)
	t.Cleanup(https.CloseClientConnections)
	address := https.Listener.Addr().(*net.TCPAddr)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "edge-"}}
	create(t, node)
	k.node = node.Name
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address.IP.String()}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(address.Port)
	if err := server.Client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	return k
}

// setLog sets the log of a pod.
func (k *kubelet) setLog(pod, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.logs[pod] = text
}

func (k *kubelet) log(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("pod")
	if r.URL.Query().Get("previous") == "true" {
		name += "/previous"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = io.WriteString(w, k.logs[name])
}

// forward forwards ports by SPDY: a stream for the data of each connection, and one for its error.
func (k *kubelet) forward(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream)
	ended := make(chan struct{})
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		select {
		case streams <- s:
			return nil
		case <-ended:
			return io.ErrClosedPipe
		}
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	defer close(ended)
	failures := map[string]httpstream.Stream{}
	for {
		select {
		case <-conn.CloseChan():
			return
		case s := <-streams:
			request := s.Headers().Get(corev1.PortForwardRequestIDHeader)
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failures[request] = s
				continue
			}
			go k.connect(s, failures[request])
		}
	}
}

// connect connects a stream to a port of a pod.
func (k *kubelet) connect(data, failure httpstream.Stream) {
	defer func() { _ = failure.Close() }()
	port, err := strconv.Atoi(data.Headers().Get(corev1.PortHeader))
	if err != nil {
		_, _ = fmt.Fprint(failure, err)
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(k.host, strconv.Itoa(port)))
	if err != nil {
		_, _ = fmt.Fprint(failure, err)
		return
	}
	join(conn, data)
}

// pass passes a connection on to an address.
func pass(conn net.Conn, target string) {
	other, err := net.Dial("tcp", target)
	if err != nil {
		_ = conn.Close()
		return
	}
	join(conn, other)
}

// join copies between two streams until one of them ends.
func join(a, b io.ReadWriteCloser) {
	var once sync.Once
	end := func() { _ = a.Close(); _ = b.Close() }
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(a, b); once.Do(end) })
	both.Go(func() { _, _ = io.Copy(b, a); once.Do(end) })
	both.Wait()
}

func publication(topic, payload string) *paho.Publish {
	return &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)}
}
