-- For wrk: POST the body in the environment variable BODY; at the end one line of CSV.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency, requests)
   local failed = summary.errors.status + summary.errors.connect + summary.errors.read +
                  summary.errors.write + summary.errors.timeout
   io.write(string.format("%s,%.0f,%.2f,%.2f,%d\n", os.getenv("LABEL"),
            summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
            latency:percentile(99) / 1e3, failed))
end
