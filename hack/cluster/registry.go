package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serveImage serves an image from a registry of its own, over HTTP, until ctx ends. The name of the
// image begins with the address on which the registry listens. When the image can be pulled,
// serveImage writes its name, with the port that a port 0 stands for.
//
// containerd pulls over HTTP only from loopback addresses.
func serveImage(ctx context.Context, spec imageSpec, out io.Writer) error {
	address, path, _ := strings.Cut(spec.name, "/")
	if host, _, err := net.SplitHostPort(address); err != nil || !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("the image %s cannot be served: its name begins with %s; begin it with a loopback address and a port, for example 127.0.0.1:0", spec.name, address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	spec.name = listener.Addr().String() + "/" + path
	tag, image, err := makeTaggedImage(spec)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	defer func() { _ = server.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	if err := remote.Write(tag, image, remote.WithContext(ctx)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, tag); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}
