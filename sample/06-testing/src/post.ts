import { Injectable, Logger } from '@nestjs/common';

/** Letters to readers. They cannot be called back, so that none may be sent for a loan that is not stored. */
@Injectable()
export class Post {
  private readonly logger = new Logger(Post.name);

  async send(reader: string, letter: string): Promise<void> {
    this.logger.log(`Dear ${reader}, ${letter}`);
    await Promise.resolve();
  }
}
