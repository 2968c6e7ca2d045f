// Pages opened from the file system may start no Worker, on which the search runs. Here a hidden frame is the worker.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.inner = frame.contentWindow;
      this.ready = new Promise((resolve) => {
        const script = this.inner.document.createElement("script");
        // What the worker's script posts goes out of the frame.
        this.inner.postMessage = (data) => this.receive(data);
        script.src = url;
        script.onload = resolve;
        this.inner.document.body.appendChild(script);
      });
    }

    receive(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.inner.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
