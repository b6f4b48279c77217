# One image with both programs: the operator, /manager, which is the entry point, and the
# runner, /bridge-runner, which runs in the pods that the operator creates.
ARG GO_VERSION=1.26
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY check.go main.go memory.go servers.go ./
COPY api/ api/
COPY controllers/ controllers/
COPY bridge-runner/ bridge-runner/
COPY internal/ internal/
# The build has no Git repository, so make docker-build passes the version.
ARG VERSION
ARG REVISION
ARG BUILDINFO=github.com/mqttbridge/mqttbridge-operator/internal/buildinfo
ARG LDFLAGS="-s -w -X ${BUILDINFO}.version=${VERSION} -X ${BUILDINFO}.revision=${REVISION}"
RUN CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} go build -trimpath -ldflags="${LDFLAGS}" -o /out/manager . && \
    CGO_ENABLED=0 GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} go build -trimpath -ldflags="${LDFLAGS}" -o /out/bridge-runner ./bridge-runner

# The static image has CA certificates, time zones, and a user that is not root.
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/manager /out/bridge-runner /
USER 65532:65532
ENTRYPOINT ["/manager"]
