// Search when a page is opened from the file system: browsers start no worker there, so its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write(`<script>
        postMessage = parent.postMessage.bind(parent);
        importScripts = (...urls) => Promise.all(urls.map(url => new Promise((resolve, reject) => {
          const script = document.createElement("script");
          Object.assign(script, {src: url, async: false, onload: resolve, onerror: reject});
          document.head.appendChild(script);
        })));
      <\/script><script src="${url}"><\/script>`);
      inside.document.close();
      this.ready = new Promise(resolve => { inside.onload = resolve; });
      this.forward = event => {
        if (event.source === inside) this.dispatchEvent(new MessageEvent("message", {data: event.data}));
      };
      window.addEventListener("message", this.forward);
    }

    postMessage(data) {
      this.ready.then(() => {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new MessageEvent("message", {data, source: window}));
      });
    }

    terminate() {
      window.removeEventListener("message", this.forward);
      this.frame.remove();
    }
  };
}
