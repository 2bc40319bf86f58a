// SPDX-License-Identifier: Apache-2.0

/// Relays, which are open WebSockets.
extension MetricFamily {
    /// Relays open at this moment.
    public static let relays = MetricFamily(
        "sluice_relays", .gauge, ["listener", "route", "upstream", "protocol"],
        "WebSockets that are open now; protocol is h1 or h2")
    /// Relays that were opened.
    public static let relaysOpened = MetricFamily(
        "sluice_relays_opened_total", .counter, ["route"], "WebSockets that were opened")
    /// Relays that have ended.
    public static let relaysClosed = MetricFamily(
        "sluice_relays_closed_total", .counter, ["route", "code", "by", "reason"],
        "WebSockets that have ended, as the access line has closeCode, endedBy and reason; a code that is"
            + " not registered is 3xxx, 4xxx or other, and none where there was no Close")
    /// How long relays have lived.
    public static let relayDuration = MetricFamily(
        "sluice_relay_duration_seconds", .histogram, ["route"],
        "How long WebSockets that have ended had lived, as milliseconds of the access line")
    /// Data messages.
    public static let messages = MetricFamily(
        "sluice_messages_total", .counter, ["route", "direction", "type"],
        "Messages and control frames that went on to their last byte; direction is up, from the client, or"
            + " down; type is text, binary, ping, pong or close; a message of several frames counts once"
    )
    /// How long data messages are.
    public static let messageBytes = MetricFamily(
        "sluice_message_bytes", .histogram, ["route", "direction"],
        "Payload of text and binary messages that went on to their last byte, in bytes")
    /// How fast peers answer.
    public static let pingRoundTrip = MetricFamily(
        "sluice_ping_rtt_seconds", .histogram, ["route", "side"],
        "How long clients and upstreams took to answer the Pings that the route's ping sends them; side is"
            + " client or upstream")
    /// Frames of every kind.
    public static let frames = MetricFamily(
        "sluice_frames_total", .counter, ["route", "direction"],
        "Frames that went on, those of control included")
    /// Payload of data frames.
    public static let payloadBytes = MetricFamily(
        "sluice_payload_bytes_total", .counter, ["route", "direction"],
        "Payload of text and binary messages that went on")
    /// How long it took to open a relay.
    public static let upgradeDuration = MetricFamily(
        "sluice_upgrade_duration_seconds", .histogram, ["route", "phase"],
        "How long the steps to a WebSocket took, of those that have opened: phase tls is from the connection"
            + " to the end of its handshake, head until the request was read, queue until there was a place"
            + " at an endpoint, connect until that endpoint got the request, answer until its 101 went out;"
            + " total is their sum. In HTTP/2, and for a later request of a connection, it begins with queue"
    )
    /// Upgrades that opened nothing.
    public static let upgradesRefused = MetricFamily(
        "sluice_upgrades_refused_total", .counter, ["route", "status", "error"],
        "Requests for a WebSocket that opened none; error is that of Proxy-Status, and empty where the"
            + " upstream has answered; status is none where the client left first")
    /// What is done to relays on purpose.
    public static let faults = MetricFamily(
        "sluice_faults_total", .counter, ["route", "kind"],
        "What the faults of a route and `sluice chaos` have done: kind is latency (frames or pieces that were"
            + " delayed), bandwidth (that waited for their rate), stall (that a WebSocket had to wait out), cut or"
            + " reset (WebSockets), or refuse (requests for one)")
    /// What relays and streams hold back.
    public static let heldBytes = MetricFamily(
        "sluice_held_bytes", .gauge, [],
        "Bytes that open WebSockets hold for peers that do not take them yet")
}

/// Requests and connections.
extension MetricFamily {
    /// Ordinary requests.
    public static let requests = MetricFamily(
        "sluice_requests_total", .counter, ["route", "method", "status", "protocol"],
        "Requests that are over and asked for no WebSocket; status is none where the client left first"
    )
    /// How long ordinary requests took.
    public static let requestDuration = MetricFamily(
        "sluice_request_duration_seconds", .histogram, ["route"],
        "How long requests took from their head to the last byte of their answer")
    /// Ordinary requests in progress.
    public static let requestsInFlight = MetricFamily(
        "sluice_requests_in_flight", .gauge, ["route"],
        "Requests in progress that ask for no WebSocket")
    /// Limits that somebody has met.
    public static let limitHits = MetricFamily(
        "sluice_limit_hits_total", .counter, ["route", "limit"],
        "Requests refused, connections closed or kept waiting and WebSockets ended since they met a limit, by"
            + " its key below limits or routes[].limits, or maxConnections of the upstream")
    /// Requests that a rule has refused.
    public static let accessRefused = MetricFamily(
        "sluice_access_refused_total", .counter, ["route", "rule"],
        "Requests, also for a WebSocket, that a rule below routes[].access has refused, by its key"
    )
    /// Documents of keys that were fetched.
    public static let keyRefreshes = MetricFamily(
        "sluice_jwks_refreshes_total", .counter, ["url", "result"],
        "Tries to fetch the keys of routes[].access.jwt, success or failure")
    /// Keys of an issuer.
    public static let issuerKeys = MetricFamily(
        "sluice_jwks_keys", .gauge, ["url"],
        "Keys that tokens are judged by now; 0 while nobody is let in")
    /// When keys were taken last.
    public static let keyTime = MetricFamily(
        "sluice_jwks_last_success_timestamp_seconds", .gauge, ["url"],
        "When the keys were fetched last; there once they were")
    /// Connections from clients.
    public static let connections = MetricFamily(
        "sluice_connections", .gauge, ["listener"], "Connections from clients that are open now")
    /// Connections from clients since the start.
    public static let connectionsTotal = MetricFamily(
        "sluice_connections_total", .counter, ["listener"],
        "Connections from clients that were taken up")
    /// TLS handshakes.
    public static let handshakes = MetricFamily(
        "sluice_tls_handshakes_total", .counter, ["version", "group", "cipher", "resumed"],
        "TLS handshakes with clients that were completed")
    /// TLS handshakes that failed.
    public static let handshakeFailures = MetricFamily(
        "sluice_tls_handshake_failures_total", .counter, ["cause"],
        "TLS handshakes with clients that have begun with a ClientHello and were not completed")
    /// Connections that spoke something else.
    public static let wrongProtocol = MetricFamily(
        "sluice_wrong_protocol_total", .counter, ["listener", "kind"],
        "Connections that began with another protocol: plain_on_tls, tls_on_plain or unknown")
}

/// Routes, by the values of segments of their paths.
extension MetricFamily {
    /// Relays open at this moment.
    public static let captureRelays = MetricFamily(
        "sluice_route_capture_relays", .gauge, ["route", "capture", "value"],
        "WebSockets that are open now, by the value of a segment of the path that routes[].metrics lists;"
            + " value is /other for all beyond the first 100 values, and for those of more than 128 bytes"
    )
    /// Relays that were opened.
    public static let captureRelaysOpened = MetricFamily(
        "sluice_route_capture_relays_opened_total", .counter, ["route", "capture", "value"],
        "WebSockets that were opened, by the value of such a segment")
    /// Ordinary requests.
    public static let captureRequests = MetricFamily(
        "sluice_route_capture_requests_total", .counter, ["route", "capture", "value"],
        "Requests that are over and asked for no WebSocket, by the value of such a segment")
}

/// Upstreams.
extension MetricFamily {
    /// Whether endpoints get requests.
    public static let endpointUp = MetricFamily(
        "sluice_endpoint_up", .gauge, ["upstream", "endpoint"],
        "0 where the endpoint fails, is unhealthy, or has no address, else 1: also while it is drained, and where"
            + " its first check has not ended yet")
    /// Whether endpoints are drained.
    public static let endpointDraining = MetricFamily(
        "sluice_endpoint_draining", .gauge, ["upstream", "endpoint"],
        "1 where the endpoint is drained, so that nothing new goes there, else 0")
    /// Relays of each endpoint.
    public static let endpointRelays = MetricFamily(
        "sluice_endpoint_relays", .gauge, ["upstream", "endpoint"],
        "WebSockets that are open to the endpoint now")
    /// Failures of each endpoint.
    public static let endpointFailures = MetricFamily(
        "sluice_endpoint_failures_total", .counter, ["upstream", "endpoint"],
        "Attempts to reach the endpoint, and upgrades there, that have failed")
    /// Ejections of each endpoint.
    public static let endpointEjections = MetricFamily(
        "sluice_endpoint_ejections_total", .counter, ["upstream", "endpoint"],
        "How often the endpoint was passed over for a while since connects or answers of it had failed"
    )
    /// Requests that wait for a place.
    public static let queueWaiting = MetricFamily(
        "sluice_queue_waiting", .gauge, ["upstream"],
        "Requests that wait for a place at an endpoint of the upstream")
}

/// The process.
extension MetricFamily {
    /// Reloads.
    public static let reloads = MetricFamily(
        "sluice_config_reloads_total", .counter, ["result"],
        "Reloads of the configuration; result is success or failure")
    /// Whether the last reload succeeded.
    public static let lastReloadSuccess = MetricFamily(
        "sluice_config_last_reload_success", .gauge, [],
        "1 where the last reload has succeeded or there was none yet, else 0")
    /// When the last configuration was taken up.
    public static let lastReloadTime = MetricFamily(
        "sluice_config_last_reload_success_timestamp_seconds", .gauge, [],
        "When the configuration in use was taken up, in seconds since 1970")
    /// Ends of certificates.
    public static let certificateEnd = MetricFamily(
        "sluice_certificate_not_after_timestamp_seconds", .gauge, ["listener", "name"],
        "When the certificate in use ends that the listener has for a name, in seconds since 1970; of"
            + " several the first")
    /// Log lines that were lost.
    public static let logLinesLost = MetricFamily(
        "sluice_log_lines_lost_total", .counter, [],
        "Log lines that were lost since the log was too slow or could not be written")
    /// Spans that a collector has taken.
    public static let spansExported = MetricFamily(
        "sluice_trace_spans_exported_total", .counter, [], "Spans that the collector has taken")
    /// Spans that no collector has taken.
    public static let spansDropped = MetricFamily(
        "sluice_trace_spans_dropped_total", .counter, ["cause"],
        "Spans that were dropped; cause is queue_full, rejected, failed or stopped")
    /// How late reactors are.
    public static let reactorLag = MetricFamily(
        "sluice_reactor_lag_seconds", .histogram, ["reactor"],
        "How long each turn of a reactor took: what happens meanwhile waits for so long at most")
    /// Turns of the reactors.
    public static let reactorTurns = MetricFamily(
        "sluice_reactor_turns_total", .counter, ["reactor"], "Turns of each reactor")
    /// What runs.
    public static let buildInfo = MetricFamily(
        "sluice_build_info", .info, ["version"], "The version of the running program")
    /// Processor time.
    public static let cpuSeconds = MetricFamily(
        "process_cpu_seconds_total", .counter, [], "Processor time of user and system, in seconds")
    /// When the process began.
    public static let startTime = MetricFamily(
        "process_start_time_seconds", .gauge, [],
        "When the process began, in seconds since 1970")
    /// Memory in use.
    public static let residentBytes = MetricFamily(
        "process_resident_memory_bytes", .gauge, [], "Resident memory")
    /// Memory that is mapped.
    public static let virtualBytes = MetricFamily(
        "process_virtual_memory_bytes", .gauge, [], "Virtual memory")
    /// Open descriptors.
    public static let openDescriptors = MetricFamily(
        "process_open_fds", .gauge, [], "File descriptors that are open")
    /// Most open descriptors.
    public static let mostDescriptors = MetricFamily(
        "process_max_fds", .gauge, [], "File descriptors that may be open")
}

extension MetricFamily {
    /// All families, in the order in which they are written.
    public static let all: [MetricFamily] = [
        .relays, .relaysOpened, .relaysClosed, .relayDuration, .messages, .messageBytes, .frames,
        .payloadBytes, .pingRoundTrip, .upgradeDuration, .upgradesRefused, .faults, .heldBytes,
        .requests, .requestDuration, .requestsInFlight, .limitHits, .accessRefused,
        .keyRefreshes, .issuerKeys, .keyTime, .connections,
        .connectionsTotal,
        .handshakes, .handshakeFailures, .wrongProtocol,
        .captureRelays, .captureRelaysOpened, .captureRequests,
        .endpointUp, .endpointDraining, .endpointRelays, .endpointFailures, .endpointEjections,
        .queueWaiting,
        .reloads, .lastReloadSuccess, .lastReloadTime, .certificateEnd, .logLinesLost,
        .spansExported, .spansDropped,
        .reactorTurns, .reactorLag, .buildInfo, .cpuSeconds, .startTime, .residentBytes,
        .virtualBytes,
        .openDescriptors, .mostDescriptors,
    ]
}
