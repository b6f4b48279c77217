package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestServeImage_FreePort_IsPulledUntilTheEnd(t *testing.T) {
	spec := testImage(t)
	spec.name = "127.0.0.1:0/test/image:tag"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serveImage(ctx, spec, write)
		_ = write.CloseWithError(err)
		ended <- err
	}()
	served, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(strings.TrimSpace(served), name.StrictValidation)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(tag, remote.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	want, err := makeImage(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := got.Digest(); err != nil {
		t.Error(err)
	} else if want, err := want.Digest(); err != nil || got != want {
		t.Errorf("the pulled image is %s, want %s: %v", got, want, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := remote.Image(tag); err == nil {
		t.Error("the image is served after the end")
	}
}

func TestServeImage_NameWithoutLoopbackAddress_NamesTheRemedy(t *testing.T) {
	for _, registry := range []string{"localhost", "10.0.0.1:5000", "registry.example:5000"} {
		spec := testImage(t)
		spec.name = registry + "/test/image:tag"
		err := serveImage(t.Context(), spec, io.Discard)
		if err == nil || !strings.Contains(err.Error(), spec.name) || !strings.Contains(err.Error(), "127.0.0.1:0") {
			t.Errorf("%s: %v", spec.name, err)
		}
	}
}
